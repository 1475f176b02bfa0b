//===- Evaluate.cpp - How good a model is ---------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Evaluate.h"

#include "twist/Runtime/Tools.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <cstring>
#include <numbers>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

double Perplexity::perplexity() const {
  return std::exp(nats / double(tokens));
}

double Perplexity::bitsPerByte() const {
  return nats / std::numbers::ln2 / double(bytes);
}

static double elementAt(const Array &array, int64_t i) {
  return twist_load_float(array.data.data(), array.type, i);
}

Expected<std::vector<double>> twist::prune::toDoubles(const Array &array) {
  if (!isFloat(array.type))
    return createStringError(StringRef("elements of type ") +
                             twist_type_name(array.type) +
                             " are no floating-point numbers");
  std::vector<double> values(array.size());
  for (auto [i, value] : llvm::enumerate(values))
    value = elementAt(array, int64_t(i));
  return values;
}

static bool isRead(const twist_tensor_info *info) {
  return isFloat(static_cast<twist_type>(info->type));
}

static Expected<size_t> findOutput(const twist_program *program,
                                   StringRef name) {
  for (size_t i = 0; i < twist_program_output_count(program); ++i) {
    const twist_tensor_info *info = twist_program_output(program, i);
    if (name.empty() ? isRead(info) : info->name == name) {
      if (isRead(info))
        return i;
      return createStringError("output '" + name +
                               "' holds no floating-point numbers");
    }
  }
  if (name.empty())
    return createStringError(
        "the model has no output of floating-point numbers");
  return createStringError("the model has no output '" + name + "'");
}

/// The one float output of three dimensions, or of two ([tokens of all windows,
/// vocabulary]).
static Expected<size_t> findLogits(const twist_program *program,
                                   StringRef name) {
  if (!name.empty())
    return findOutput(program, name);
  std::optional<size_t> found;
  for (size_t i = 0; i < twist_program_output_count(program); ++i) {
    const twist_tensor_info *info = twist_program_output(program, i);
    if (!isRead(info) || info->rank < 2 || info->rank > 3)
      continue;
    if (found)
      return createStringError(
          StringRef("outputs '") + twist_program_output(program, *found)->name +
          "' and '" + info->name + "' may be the logits: --output NAME");
    found = i;
  }
  if (!found)
    return createStringError("no output can be logits: floating-point numbers, "
                             "[batch, sequence, tokens]");
  return *found;
}

/// -log of the softmax at `target`, in f64.
static double surprise(const Array &logits, int64_t row, int64_t width,
                       uint32_t target) {
  double largest = -INFINITY, sum = 0;
  for (int64_t i = 0; i < width; ++i)
    largest = std::max(largest, elementAt(logits, row * width + i));
  for (int64_t i = 0; i < width; ++i)
    sum += std::exp(elementAt(logits, row * width + i) - largest);
  return std::log(sum) + largest - elementAt(logits, row * width + target);
}

/// One number a row, in parallel, summed in order.
Error twist::prune::addPerplexity(Runner &runner, const Feed &feed,
                                  const Batch &batch, const Array &logits,
                                  Perplexity &sum) {
  int64_t width = logits.dims.empty() ? 0 : logits.dims.back();
  if (width == 0 || logits.size() / width != batch.windows * batch.length)
    return createStringError("the logits are not one row a token");
  std::vector<std::pair<int64_t, uint32_t>> targets;
  for (auto [w, tokens] : llvm::enumerate(batch.tokens)) {
    for (size_t i = 1; i < tokens.size(); ++i) {
      if (int64_t(tokens[i]) >= width)
        return createStringError("token id " + Twine(tokens[i]) +
                                 " is beyond the model's " + Twine(width) +
                                 " logits");
      targets.emplace_back(int64_t(w) * batch.length + int64_t(i) - 1,
                           tokens[i]);
    }
    if (feed.tokenizer() && tokens.size() > 1) {
      auto text = feed.tokenizer()->decode(ArrayRef(tokens).drop_front());
      if (!text)
        return text.takeError();
      sum.bytes += text->size();
    }
  }
  std::vector<double> nats(targets.size());
  runner.parallel(int64_t(targets.size()), [&](int64_t i) {
    nats[i] = surprise(logits, targets[i].first, width, targets[i].second);
  });
  for (double value : nats)
    sum.nats += value;
  sum.tokens += int64_t(targets.size());
  if (!std::isfinite(sum.nats))
    return createStringError("the logits of window " + Twine(batch.first) +
                             " or of its batch are not finite");
  return Error::success();
}

Error twist::prune::runAll(
    Runner &runner, const Feed &feed,
    function_ref<Error(Runner &, const Batch &, ArrayRef<Array>)> take) {
  for (int64_t i = 0; i < feed.batches(); ++i) {
    Expected<Batch> batch = feed.batch(i);
    if (!batch)
      return batch.takeError();
    auto outputs = runner.run(batch->inputs);
    if (!outputs)
      return outputs.takeError();
    if (Error error = take(runner, *batch, *outputs))
      return error;
  }
  return Error::success();
}

Expected<Perplexity>
twist::prune::measurePerplexity(Runner &runner, const Feed &feed,
                                StringRef output,
                                function_ref<void(int64_t)> progress) {
  if (feed.tokens() == 0)
    return createStringError("perplexity needs token ids as data; for other "
                             "models compare with --reference");
  Expected<size_t> logits = findLogits(runner.program(), output);
  if (!logits)
    return logits.takeError();
  Perplexity sum;
  int64_t done = 0;
  Error error = runAll(
      runner, feed,
      [&](Runner &, const Batch &batch, ArrayRef<Array> outputs) -> Error {
        if (Error error =
                addPerplexity(runner, feed, batch, outputs[*logits], sum))
          return error;
        progress(++done);
        return Error::success();
      });
  if (error)
    return std::move(error);
  if (sum.tokens == 0)
    return createStringError("windows of one token tell none");
  return sum;
}

/// Of integers.
static void addEqual(const Array &left, const Array &right, Likeness &sum) {
  size_t width = twist_type_size(left.type);
  for (int64_t i = 0, e = left.size(); i < e; ++i) {
    bool isEqual = !std::memcmp(left.data.data() + size_t(i) * width,
                                right.data.data() + size_t(i) * width, width);
    sum.sum += isEqual;
    sum.least = std::min(sum.least, double(isEqual));
  }
  sum.vectors += left.size();
}

Error twist::prune::addLikeness(const Array &left, const Array &right,
                                StringRef name, Likeness &sum) {
  if (left.dims != right.dims || (left.dims.empty() && isFloat(left.type)))
    return createStringError("output '" + name +
                             "' has another shape in the reference");
  if (!isFloat(left.type)) {
    addEqual(left, right, sum);
    return Error::success();
  }
  int64_t width = left.dims.back(), rows = width ? left.size() / width : 0;
  for (int64_t row = 0; row < rows; ++row) {
    double product = 0, square = 0, other = 0;
    for (int64_t k = row * width; k < (row + 1) * width; ++k) {
      double x = elementAt(left, k), y = elementAt(right, k);
      product += x * y;
      square += x * x;
      other += y * y;
    }
    double cosine = product / std::sqrt(square * other);
    if (!std::isfinite(cosine))
      return createStringError("output '" + name +
                               "' has a vector that is zero or not finite");
    sum.sum += cosine;
    sum.least = std::min(sum.least, cosine);
  }
  sum.vectors += rows;
  return Error::success();
}

Expected<Likeness>
twist::prune::measureLikeness(Runner &runner, Runner &reference,
                              const Feed &feed, const Feed &referenceFeed,
                              StringRef output,
                              function_ref<void(int64_t)> progress) {
  Expected<size_t> mine = findOutput(runner.program(), output);
  if (!mine)
    return mine.takeError();
  StringRef name = twist_program_output(runner.program(), *mine)->name;
  Expected<size_t> theirs = findOutput(reference.program(), name);
  if (!theirs)
    return createStringError("the reference: " + toString(theirs.takeError()));
  Likeness result;
  for (int64_t i = 0; i < feed.batches(); ++i) {
    Expected<Batch> batch = feed.batch(i), other = referenceFeed.batch(i);
    if (!batch || !other)
      return joinErrors(batch.takeError(), other.takeError());
    auto a = runner.run(batch->inputs), b = reference.run(other->inputs);
    if (!a || !b)
      return joinErrors(a.takeError(), b.takeError());
    if (Error error = addLikeness((*a)[*mine], (*b)[*theirs], name, result))
      return std::move(error);
    progress(i + 1);
  }
  return result;
}
