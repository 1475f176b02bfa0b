"""Fair timing of several engines: interleaved, medians, with a check that the threads had their cores."""
import os
import platform
import statistics
import time


def machine():
    """The processor, how many of it, and the system: what a table of times begins with."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    return f"{cpu}, {os.cpu_count()} processors, {platform.system()} {platform.release()}"


def interleaved(functions, repeats=7, warm=2, rest=0.05, pick=statistics.median):
    """Seconds of each function (name -> callable), run in turn: the median, or what `pick` takes.

    Before each timed call the engine rests, so that another's spinning threads have gone to sleep, and runs once untimed.
    """
    times = {name: [] for name in functions}
    for round_ in range(warm + repeats):
        for name, function in functions.items():
            time.sleep(rest)
            function()
            start = time.perf_counter()
            function()
            seconds = time.perf_counter() - start
            if round_ >= warm:
                times[name].append(seconds)
    return {name: pick(values) for name, values in times.items()}


def table(header, rows):
    """A markdown table; every column but the first is right-aligned."""
    cells = [header] + [[str(c) for c in row] for row in rows]
    width = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row):
        return "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                                 for i, (c, w) in enumerate(zip(row, width))) + " |"

    rule = "|" + "|".join(("-" * (w + 2)) if i == 0 else ("-" * (w + 1) + ":") for i, w in enumerate(width)) + "|"
    return "\n".join([line(cells[0]), rule, *map(line, cells[1:])])


def save(lines, path):
    """Prints a report and writes it to a file."""
    text = "\n".join(lines)
    print("\n" + text)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"saved: {path}")
