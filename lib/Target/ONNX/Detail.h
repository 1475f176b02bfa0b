//===- Detail.h - Parts of the ONNX reader and writer -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Only this folder includes protobuf and the onnx library, and only it is
// compiled with exceptions; none leaves it.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_TARGET_ONNX_DETAIL_H
#define TWIST_LIB_TARGET_ONNX_DETAIL_H

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Reader.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "onnx/onnx_pb.h"

#include "llvm/Support/Error.h"

#include <functional>
#include <string>
#include <vector>

namespace twist::detail {

namespace pb = ::onnx;
namespace ir = ::twist::onnx;

//===----------------------------------------------------------------------===//
// The wire (WireScanner.cpp)
//===----------------------------------------------------------------------===//

/// Tensor data taken out of a file: where it lies, and in which field of
/// TensorProto (raw_data, float_data or double_data).
struct Payload {
  uint64_t offset = 0;
  uint64_t length = 0;
  int field = 0;
};

/// A model without its tensor data: in every TensorProto, `raw_data` holds
/// the index of a payload as eight bytes, little-endian.
struct Skeleton {
  pb::ModelProto model;
  std::vector<Payload> payloads;
};

/// Scans a serialised ModelProto. Data in raw_data always becomes a payload,
/// packed float_data and double_data when longer than 512 bytes.
llvm::Expected<Skeleton> scanModel(llvm::ArrayRef<char> bytes);

//===----------------------------------------------------------------------===//
// Types and tensors (Tensors.cpp)
//===----------------------------------------------------------------------===//

/// Element type of a TensorProto.DataType; null where MLIR has none.
mlir::Type elementTypeOf(int32_t dataType, mlir::MLIRContext *context);
/// The inverse; UNDEFINED where ONNX has none.
int32_t dataTypeOf(mlir::Type elementType);

/// Type of a value; its symbolic dimensions go to `dims`, "" for the others.
mlir::Type importType(const pb::TypeProto &type, mlir::MLIRContext *context,
                      llvm::SmallVectorImpl<std::string> *dims = nullptr);
/// Writes `type` over `proto`, keeping denotations.
void exportType(mlir::Type type, llvm::ArrayRef<llvm::StringRef> dims,
                pb::TypeProto &proto);

/// Where the data of a tensor lies, if not in the message itself.
struct TensorBytes {
  /// A whole tensor the caller already knows (ElementsAttr or ViewAttr).
  mlir::Attribute value;
  /// Otherwise bytes of a source.
  mlir::FlatSymbolRefAttr source;
  uint64_t offset = 0;
  llvm::ArrayRef<char> bytes;
  /// What held them: "raw_data", "float_data", "double_data" or "external".
  llvm::StringRef storage;
};

/// Finds the data of tensors.
class TensorLocator {
public:
  virtual ~TensorLocator() = default;
  /// None: the data is in the message's own fields.
  virtual mlir::FailureOr<std::optional<TensorBytes>>
  locate(const pb::TensorProto &tensor, mlir::Location loc) = 0;
};

/// A tensor as an attribute: ElementsAttr if small, else ViewAttr.
struct ImportedTensor {
  mlir::RankedTensorType type;
  mlir::Attribute value;
  /// All fields but dims, data_type and the data, and "storage" if the data
  /// was not in raw_data.
  mlir::DictionaryAttr residual;
};

/// Reports at `loc` what is wrong with the tensor.
mlir::FailureOr<ImportedTensor> importTensor(const pb::TensorProto &tensor,
                                             TensorLocator &locator,
                                             mlir::Location loc);

//===----------------------------------------------------------------------===//
// Messages as attributes (ProtoAttr.cpp)
//===----------------------------------------------------------------------===//

/// Any message as a dictionary of its set fields: integers si64, floats f32 or
/// f64, strings and bytes strings, messages dictionaries, repeated fields
/// arrays. What the schema does not know stands in "unknown_fields". Tensor
/// data stands as bytes, or beyond 4 KiB as a view.
mlir::FailureOr<mlir::DictionaryAttr>
messageToAttr(const google::protobuf::Message &message, TensorLocator *locator,
              mlir::Location loc, llvm::ArrayRef<int> skippedFields = {});

/// Data of a tensor being exported: a view or a dense attribute.
struct ExportPayload {
  mlir::Attribute value;
  mlir::Type elementType;
  uint64_t size = 0;
  int field = 0;
};
using Payloads = std::vector<ExportPayload>;

/// Key of the external_data entry that stands for payload N in a built model.
inline constexpr const char *kPayloadKey = "twist.payload";

/// Makes the tensor refer to a new payload.
void attachPayload(pb::TensorProto &tensor, Payloads &payloads,
                   const ExportPayload &payload);
/// The payload a built tensor refers to, if any.
std::optional<uint64_t> payloadOf(const pb::TensorProto &tensor);

/// Sets the fields of `message` that the dictionary names; the ones in
/// `skippedKeys` are left alone.
mlir::LogicalResult
attrToMessage(mlir::DictionaryAttr dictionary,
              google::protobuf::Message &message, Payloads &payloads,
              mlir::Location loc,
              llvm::ArrayRef<llvm::StringRef> skippedKeys = {});

/// Writes dims, data type and data of a tensor (ElementsAttr or ViewAttr, read
/// as `type`), and the residual of its import. `loc` names it in errors.
mlir::LogicalResult exportTensor(mlir::RankedTensorType type,
                                 mlir::Attribute value,
                                 mlir::DictionaryAttr residual,
                                 pb::TensorProto &tensor, Payloads &payloads,
                                 mlir::Location loc);

//===----------------------------------------------------------------------===//
// Attributes of nodes (Attributes.cpp)
//===----------------------------------------------------------------------===//

/// The AttributeProto::AttributeType, also in files from before it existed.
int attributeKind(const pb::AttributeProto &attribute);

/// The value as an attribute of the kind's own MLIR type, unit for graphs; what
/// else the message says goes to `residuals` under the attribute's name.
mlir::FailureOr<mlir::Attribute>
importAttribute(const pb::AttributeProto &attribute, TensorLocator &locator,
                mlir::Location loc, mlir::NamedAttrList &residuals);

/// The inverse, for what is no graph. `residual` may be null.
mlir::LogicalResult exportAttribute(mlir::Attribute value,
                                    mlir::DictionaryAttr residual,
                                    pb::AttributeProto &proto,
                                    Payloads &payloads, mlir::Location loc);

//===----------------------------------------------------------------------===//
// Models (Importer.cpp, Exporter.cpp, ModelWriter.cpp)
//===----------------------------------------------------------------------===//

struct ImportOptions {
  /// Nodes of op type Constant become onnx.Constant or weights.load; types of
  /// values stand in the IR alone, their symbolic dimensions in `dims` of the
  /// node's meta.
  bool normalising = false;
};

/// Fills the empty `module`.
mlir::LogicalResult importModel(const pb::ModelProto &model,
                                TensorLocator &locator, mlir::ModuleOp module,
                                mlir::Location loc,
                                const ImportOptions &options = {});

/// A model whose tensor data beyond 4 KiB is only referred to.
struct BuiltModel {
  pb::ModelProto model;
  Payloads payloads;
};

mlir::FailureOr<BuiltModel> buildModel(mlir::ModuleOp module);

mlir::LogicalResult writeModel(BuiltModel &model, mlir::ModuleOp module,
                               llvm::StringRef path,
                               const ExportONNXOptions &options);

/// Attributes of function arguments and results.
inline constexpr llvm::StringLiteral kNameAttr = "onnx.name";
inline constexpr llvm::StringLiteral kDimsAttr = "onnx.dims";
/// Module attribute: all of ModelProto but the graph's nodes and values.
inline constexpr llvm::StringLiteral kModelAttr = "onnx.model";

/// Serialised in one order, for comparisons.
std::string serialise(const google::protobuf::Message &message);

} // namespace twist::detail

#endif // TWIST_LIB_TARGET_ONNX_DETAIL_H
