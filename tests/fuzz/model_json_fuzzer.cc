// Feeds arbitrary text to the readers of config.json and of the shard index.
#include <cstddef>
#include <cstdint>

#include "core/io/hf_config.h"
#include "core/io/safetensors_index.h"
#include "kernels/common/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = caracal::ParseHfConfig(text);
  if (config.ok()) {
    CARACAL_CHECK(caracal::Validate(*config).ok());
    CARACAL_CHECK(config->inv_freq().size() == config->head_dim / 2);
  } else {
    CARACAL_CHECK(!config.status().message().empty());
  }
  const auto index = caracal::ParseSafetensorsIndex(text);
  if (index.ok()) {
    for (const auto& [name, file] : *index) {
      CARACAL_CHECK(file.find('/') == std::string::npos);
    }
  }
  return 0;
}
