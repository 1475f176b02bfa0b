"""Writes a test model: python -m twist_tools.models gpt2 --style split --layers 2 -o x.onnx"""
import argparse
import dataclasses
import os
import sys

from . import bert, gpt2, llama
from .graph import save

KINDS = {"gpt2": gpt2, "bert": bert, "llama": llama}


def add_fields(parser, config):
    for field in dataclasses.fields(config):
        flag = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(flag, type=type(field.default), default=field.default,
                                help=f"default {field.default}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m twist_tools.models")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for name, module in KINDS.items():
        sub = kinds.add_parser(name, help=module.__doc__.splitlines()[0])
        add_fields(sub, module.Config)
        sub.add_argument("--weights", help="stories260K.bin or a safetensors file; default: random") \
            if hasattr(module, "load") else None
        sub.add_argument("--external", action="store_true", help="weights beside the model, in FILE.data")
        sub.add_argument("-o", "--output", required=True)
    options = vars(parser.parse_args(arguments))
    module, output, external = KINDS[options.pop("kind")], options.pop("output"), options.pop("external")
    path = options.pop("weights", None)
    try:
        if path:
            sizes, weights = module.load(path)
            config = module.Config(**{**options, **sizes})
        else:
            config, weights = module.Config(**options), None
        save(module.build(config, weights), output, external)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"{output}: {os.path.getsize(output):,} bytes")


if __name__ == "__main__":
    main()
