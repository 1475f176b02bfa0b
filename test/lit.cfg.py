"""lit configuration: FileCheck tests on IR, runs compared in numbers, gtest binaries."""
import glob
import os
import lit.formats

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.environ.get("TWIST_BUILD", os.path.join(root, "build"))
llvm = "/usr/lib/llvm-22/bin"
venv = os.path.join(root, ".deps", "venv", "bin")

config.name = "twist"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs"]
config.test_source_root = os.path.dirname(os.path.abspath(__file__))
config.test_exec_root = os.path.join(build, "test")
config.environment["PATH"] = os.pathsep.join(
    [os.path.join(build, "bin"), venv, llvm, os.environ["PATH"]])
config.environment["TWIST_VERIFY_PASSES"] = "1"
config.environment["PYTHONPATH"] = os.path.join(root, "python")
config.environment["TWIST_DATA"] = os.environ.get(
    "TWIST_DATA", os.path.join(os.path.dirname(root), "shared", "data"))
# %python runs in the project's environment; %inputs is the suite's own Inputs.
config.substitutions.append(("%python", os.path.join(venv, "python")))
config.substitutions.append(("%root", root))
config.substitutions.append(("%build", build))
config.substitutions.append(("%inputs", os.path.join(root, "test", "Inputs")))
# Long tests say REQUIRES: long; ./dev test --all runs them.
if lit_config.params.get("long"):
    config.available_features.add("long")
# Where OpenMPI was there for the build.
if os.path.exists(os.path.join(build, "lib", "TwistMPI.so")):
    config.available_features.add("mpi")
# Trained weights that are not in the repository.
if os.path.exists(os.path.join(config.environment["TWIST_DATA"], "models", "stories260K.bin")):
    config.available_features.add("stories260k")
# PyTorch, where benchmarks or the user installed it; nothing of the toolchain needs it.
torch = [p for p in (os.path.join(root, ".deps", "bench"), os.path.join(root, ".deps", "venv"))
         if glob.glob(os.path.join(p, "lib", "python*", "site-packages", "torch"))]
if torch:
    config.available_features.add("torch")
    config.substitutions.append(("%torch_python", os.path.join(torch[0], "bin", "python")))
else:
    lit_config.note("test/Train/torch.test is skipped: PyTorch is in neither .deps/bench nor .deps/venv")
