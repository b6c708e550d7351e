// Names and types inside rank files, shared by the writer and the reader.
#ifndef CARACAL_DIST_CHECKPOINT_STORAGE_TYPE_H_
#define CARACAL_DIST_CHECKPOINT_STORAGE_TYPE_H_

#include "core/io/hdf5/hdf5.h"
#include "kernels/common/dtype.h"

namespace caracal {

inline constexpr char kStateGroup[] = "state";
inline constexpr char kGlobalShapeAttribute[] = "global_shape";
inline constexpr char kShardOffsetAttribute[] = "shard_offset";

// The HDF5 type of a tensor's elements; kOther when it can't be stored.
inline hdf5::Type StorageType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return hdf5::Type::kF32;
    case DType::kI32:
      return hdf5::Type::kI32;
    case DType::kI64:
      return hdf5::Type::kI64;
    case DType::kU8:
      return hdf5::Type::kU8;
    case DType::kF16:
    case DType::kBF16:
      break;
  }
  return hdf5::Type::kOther;
}

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_STORAGE_TYPE_H_
