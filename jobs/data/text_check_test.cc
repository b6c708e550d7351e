#include "jobs/data/text_check.h"

#include <string>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

// The verdict on `text` in blocks of `step` bytes.
absl::Status Check(absl::string_view text, size_t step) {
  TextCheck check("a.txt");
  for (size_t i = 0; i < text.size(); i += step) {
    RETURN_IF_ERROR(check.Add(text.substr(i, step)));
  }
  return absl::OkStatus();
}

TEST(TextCheck, TextPassesInAnyBlocks) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "aé😀中\n";
  for (const size_t step : {1, 2, 3, 5, 10000}) {
    EXPECT_OK(Check(text, step));
  }
}

TEST(TextCheck, ZeroBytesAreBinary) {
  for (const size_t step : {1, 4, 100}) {
    EXPECT_THAT(Check(absl::string_view("a\nb\nc\0d", 7), step),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a.txt: line 3: a zero byte")));
  }
}

TEST(TextCheck, FewBadBytesPassManyDoNot) {
  std::string latin1;
  for (int i = 0; i < 16; ++i) latin1 += "caf\xE9\n";
  for (const size_t step : {1, 3, 1000}) {
    EXPECT_OK(Check(latin1, step));
    EXPECT_THAT(Check(latin1 + "caf\xE9\n", step),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a.txt: line 17: byte 0xE9 is not UTF-8")));
  }
  // One in a thousand is fine for ever.
  std::string mostly_good;
  for (int i = 0; i < 100; ++i) mostly_good += std::string(1000, 'x') + "\xFF";
  EXPECT_OK(Check(mostly_good, 777));
}

}  // namespace
}  // namespace caracal
