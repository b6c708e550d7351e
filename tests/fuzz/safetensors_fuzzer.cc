// Feeds arbitrary bytes to the safetensors reader and looks at all it
// accepted.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/io/safetensors_file.h"
#include "kernels/common/check.h"
#include "kernels/quant/dequantize.h"

using caracal::SafetensorsFile;
using caracal::SafetensorsTensor;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file =
      SafetensorsFile::Parse(absl::MakeConstSpan(data, size), "fuzz");
  if (!file.ok()) {
    CARACAL_CHECK(!file.status().message().empty());
    return 0;
  }
  std::vector<float> values;
  for (const SafetensorsTensor& tensor : (*file)->tensors()) {
    int64_t elements = 1;
    for (const int64_t extent : tensor.shape) elements *= extent;
    values.resize(elements);
    caracal::kernels::DequantizeRow(tensor.encoding, tensor.data.data(),
                                    elements, values.data());
  }
  return 0;
}
