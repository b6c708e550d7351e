// Feeds arbitrary bytes to the GGUF reader and looks at all it accepted.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/io/gguf.h"
#include "core/io/gguf_config.h"
#include "kernels/common/check.h"
#include "kernels/quant/dequantize.h"

using caracal::GgufFile;
using caracal::GgufTensor;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = GgufFile::Parse(absl::MakeConstSpan(data, size), "fuzz");
  if (!file.ok()) {
    CARACAL_CHECK(!file.status().message().empty());
    return 0;
  }
  for (const absl::string_view key : (*file)->keys()) {
    CARACAL_CHECK((*file)->Has(key));
    // A value has one type, so at most one of these succeeds.
    const int readable =
        (*file)->GetString(key).ok() + (*file)->GetInt(key).ok() +
        (*file)->GetFloat(key).ok() + (*file)->GetBool(key).ok() +
        (*file)->GetStringArray(key).ok() + (*file)->GetIntArray(key).ok() +
        (*file)->GetFloatArray(key).ok() + (*file)->GetBoolArray(key).ok();
    CARACAL_CHECK(readable <= 1);
  }
  std::vector<float> values;
  for (const GgufTensor& tensor : (*file)->tensors()) {
    CARACAL_CHECK((*file)->FindTensor(tensor.name) == &tensor);
    int64_t elements = 1;
    for (const int64_t extent : tensor.shape) elements *= extent;
    values.resize(elements);
    caracal::kernels::DequantizeRow(tensor.encoding, tensor.data.data(),
                                    elements, values.data());
    caracal::kernels::FirstNonFinite(values.data(), elements);
  }
  const auto config = caracal::ParseGgufConfig(**file);
  if (config.ok()) CARACAL_CHECK(caracal::Validate(*config).ok());
  return 0;
}
