// Feeds arbitrary bytes to the readers of tokenizers and, where one accepts
// them, a text to the tokenizer: GGUF files as they are, and tokenizer.json
// with the text behind the last line "---".
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/io/gguf.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "core/io/tokenizer/streaming_decoder.h"
#include "core/io/tokenizer/tokenizer_json.h"
#include "core/io/tokenizer/unicode.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr absl::string_view kSeparator = "\n---\n";

absl::StatusOr<std::unique_ptr<Tokenizer>> Load(absl::string_view file) {
  if (absl::StartsWith(file, "GGUF")) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(file.data());
    auto gguf =
        GgufFile::Parse(absl::MakeConstSpan(bytes, file.size()), "fuzz");
    if (!gguf.ok()) return gguf.status();
    return LoadTokenizer(**gguf);
  }
  auto spec = ParseTokenizerJson(file, "fuzz");
  if (!spec.ok()) return spec.status();
  return Tokenizer::Create(*std::move(spec));
}

void Use(const Tokenizer& tokenizer, absl::string_view text) {
  for (const bool parse_special : {true, false}) {
    const auto ids = tokenizer.Encode(text, {.parse_special = parse_special});
    if (!ids.ok()) {
      // A pattern may need too many steps.
      CARACAL_CHECK(!ids.status().message().empty());
      continue;
    }
    for (const int32_t id : *ids) {
      CARACAL_CHECK(id >= 0 && id < tokenizer.vocab_size()) << id;
    }
    const std::string decoded = tokenizer.Decode(*ids);
    CARACAL_CHECK_EQ(ValidUtf8Prefix(decoded), decoded.size());
    StreamingDecoder decoder(&tokenizer);
    std::string streamed;
    for (const int32_t id : *ids) streamed += decoder.Push(id);
    streamed += decoder.Finish();
    CARACAL_CHECK(streamed == decoded);
  }
}

}  // namespace
}  // namespace caracal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view file(reinterpret_cast<const char*>(data), size);
  absl::string_view text = "It's a  test: 12,345 é\xFF 😀\n\n <|im_start|>x";
  const size_t separator = file.rfind(caracal::kSeparator);
  if (separator != absl::string_view::npos) {
    text = file.substr(separator + caracal::kSeparator.size());
    file = file.substr(0, separator);
  }
  const auto tokenizer = caracal::Load(file);
  if (!tokenizer.ok()) {
    CARACAL_CHECK(!tokenizer.status().message().empty());
    return 0;
  }
  caracal::Use(**tokenizer, text);
  return 0;
}
