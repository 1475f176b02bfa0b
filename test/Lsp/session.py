"""A session with twist-lsp-server: hover over an op of ours, and the error of one that is wrong. No arguments."""
import json
import subprocess
import sys

GOOD = "func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {\n  %y = onnx.Relu %x : (tensor<2xf32>) -> tensor<2xf32>\n" \
       "  return %y : tensor<2xf32>\n}\n"
BAD = '"twist.axis"() {kind = "head"} : () -> ()\n'


def frame(**message):
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def opened(name, text):
    return frame(method="textDocument/didOpen", params={"textDocument": {
        "uri": f"file:///{name}.mlir", "languageId": "mlir", "version": 1, "text": text}})


def answers(data):
    while data:
        head, data = data.split(b"\r\n\r\n", 1)
        size = int(head.split(b":")[1])
        yield json.loads(data[:size])
        data = data[size:]


def main():
    session = b"".join([
        frame(id=0, method="initialize", params={"processId": None, "capabilities": {}, "trace": "off"}),
        frame(method="initialized", params={}),
        opened("good", GOOD), opened("bad", BAD),
        frame(id=1, method="textDocument/hover", params={
            "textDocument": {"uri": "file:///good.mlir"}, "position": {"line": 1, "character": 8}}),
        frame(id=2, method="shutdown"), frame(method="exit")])
    done = subprocess.run(["twist-lsp-server"], input=session, capture_output=True, timeout=60)
    messages = list(answers(done.stdout))
    if "-v" in sys.argv:
        print(json.dumps(messages, indent=1))
    hover = next(m for m in messages if m.get("id") == 1)
    assert "onnx.Relu" in json.dumps(hover["result"]), hover
    found = {m["params"]["uri"]: m["params"]["diagnostics"] for m in messages
             if m.get("method") == "textDocument/publishDiagnostics"}
    assert found["file:///good.mlir"] == [], found
    assert any("twist.axis" in d["message"] for d in found["file:///bad.mlir"]), found
    print(f"{len(messages)} messages, exit {done.returncode}; {found['file:///bad.mlir'][0]['message']}")


if __name__ == "__main__":
    main()
