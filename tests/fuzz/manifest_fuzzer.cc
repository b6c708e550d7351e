// Feeds arbitrary text to the reader of checkpoint manifests, as it is and
// with its checksum made right, without which no change would get far.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "dist/checkpoint/manifest.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// `text` with the checksum that the message about a wrong one says.
std::string Resealed(std::string text, absl::string_view message) {
  constexpr absl::string_view kExpected = "'checksum': expected ";
  constexpr absl::string_view kFound = ", found ";
  constexpr size_t kDigits = 32;
  const size_t expected = message.find(kExpected);
  const size_t found = message.find(kFound);
  const size_t end = message.rfind(": the manifest");
  if (expected == message.npos || found == message.npos ||
      end == message.npos) {
    return text;
  }
  const std::string right(message.substr(expected + kExpected.size(), kDigits));
  const size_t begin = found + kFound.size();
  const std::string wrong(message.substr(begin, end - begin));
  const size_t at = wrong.empty() ? std::string::npos : text.find(wrong);
  if (at != std::string::npos) text.replace(at, wrong.size(), right);
  return text;
}

}  // namespace
}  // namespace caracal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace caracal;  // NOLINT: the whole file is a test of it
  std::string text(reinterpret_cast<const char*>(data), size);
  auto manifest = ParseManifest(text, "fuzz");
  if (!manifest.ok()) {
    text = Resealed(text, manifest.status().message());
    manifest = ParseManifest(text, "fuzz");
  }
  if (!manifest.ok()) {
    CARACAL_CHECK(manifest.status().message().find("fuzz") !=
                  absl::string_view::npos);
    return 0;
  }
  const ParallelLayout& layout = manifest->layout;
  CARACAL_CHECK_EQ(manifest->rank_files.size(),
                   layout.data * layout.tensor * layout.layer);
  for (size_t rank = 0; rank < manifest->rank_files.size(); ++rank) {
    CARACAL_CHECK(manifest->rank_files[rank].name == RankFileName(rank));
  }
  const auto again = ParseManifest(FormatManifest(*manifest), "again");
  CARACAL_CHECK(again.ok()) << again.status().ToString();
  CARACAL_CHECK(FormatManifest(*again) == FormatManifest(*manifest));
  return 0;
}
