"""One line a model: its perplexity on a logarithmic axis, or what a set of tickets spans, as SVG."""
import math
from xml.sax.saxutils import escape

WIDTH, LABELS, LINE, TOP = 900, 370, 20, 44
TICKS = [m * 10 ** e for e in range(5) for m in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)]


def colour(label):
    """Of cuts without training, of tickets, of all else."""
    if label.startswith("cut"):
        return "#b5482f"
    return "#1f6fb2" if label.endswith("kappa 0.5") and "cut" not in label else "#444"


def picture(title, rows):
    """SVG of rows (label, (mean, sd / mean, least, most)); the quantities are perplexities."""
    low, high = min(s[2] for _, s in rows) / 1.03, max(s[3] for _, s in rows) * 1.03

    def at(value):
        return LABELS + (WIDTH - LABELS - 70) * math.log(value / low) / math.log(high / low)
    height = TOP + LINE * len(rows) + 10
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', f'<text x="8" y="18" font-size="14">{escape(title)}</text>']
    for tick in (t for t in TICKS if low <= t <= high):
        out += [f'<path d="M{at(tick):.1f} {TOP - 6}V{height - 6}" stroke="#ddd"/>',
                f'<text x="{at(tick):.1f}" y="{TOP - 10}" text-anchor="middle" fill="#777">{tick:g}</text>']
    for index, (label, (mean, _, least, most)) in enumerate(rows):
        y, fill = TOP + LINE * index + 8, colour(label)
        out += [f'<text x="{LABELS - 10}" y="{y + 4}" text-anchor="end">{escape(label)}</text>',
                f'<path d="M{at(least):.1f} {y}H{at(most):.1f}" stroke="{fill}" stroke-width="5" stroke-opacity="0.4"/>',
                f'<circle cx="{at(mean):.1f}" cy="{y}" r="4" fill="{fill}"/>',
                f'<text x="{at(most) + 8:.1f}" y="{y + 4}" fill="{fill}">{mean:.1f}</text>']
    return "\n".join(out + ["</svg>"]) + "\n"
