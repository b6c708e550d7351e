// Words around numbers.
#include "eval/report/settings_text.h"

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"

namespace caracal {

std::string DescribeAttention(const AttributionSettings& s) {
  return absl::StrCat("Hybrid attention: ", s.window_kind,
                      s.window_kind.empty() ? "" : " ", "window ",
                      Count(s.window), ", ",
                      s.sinks == 0   ? std::string("no sinks")
                      : s.sinks == 1 ? std::string("1 sink")
                                     : absl::StrCat(Count(s.sinks), " sinks"),
                      ", ", s.feature_map, s.feature_map.empty() ? "" : " ",
                      "features ", Count(s.features));
}

std::string DescribeRows(const AttributionSettings& s) {
  if (s.rows == 0) return "";
  return absl::StrCat(Count(s.rows), s.rows == 1 ? " row" : " rows", " of ",
                      Count(s.tokens_per_row), " tokens",
                      s.data.empty() ? "" : ", ", s.data);
}

std::vector<std::pair<std::string, std::string>> SettingsTable(
    const AttributionSettings& s) {
  return {{"model", s.model},
          {"data", s.data},
          {"rows", s.rows == 0 ? "" : Count(s.rows)},
          {"tokens per row", s.rows == 0 ? "" : Count(s.tokens_per_row)},
          {"layers", Count(s.layers)},
          {"query heads", Count(s.heads)},
          {"window", absl::StrCat(Count(s.window), " tokens, ", s.window_kind)},
          {"sinks", Count(s.sinks)},
          {"feature map",
           absl::StrCat(s.feature_map, ", ", Count(s.features), " features")}};
}

}  // namespace caracal
