// Colours by linear interpolation between anchors.
#include "eval/report/color_scale.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"

namespace caracal {
namespace {

using Rgb = std::array<int, 3>;

// Ten even samples of viridis.
constexpr Rgb kViridis[] = {{0x44, 0x01, 0x54}, {0x48, 0x28, 0x78},
                            {0x3e, 0x49, 0x89}, {0x31, 0x68, 0x8e},
                            {0x26, 0x82, 0x8e}, {0x1f, 0x9e, 0x89},
                            {0x35, 0xb7, 0x79}, {0x6e, 0xce, 0x58},
                            {0xb5, 0xde, 0x2b}, {0xfd, 0xe7, 0x25}};

// From most negative to most positive.
constexpr Rgb kOnLight[] = {{0x9e, 0x48, 0x03}, {0xe0, 0x8a, 0x2e},
                            {0xfb, 0xd9, 0xae}, {0xf4, 0xf4, 0xf2},
                            {0xbc, 0xd8, 0xee}, {0x4f, 0x98, 0xcf},
                            {0x0b, 0x4f, 0x94}};
constexpr Rgb kOnDark[] = {{0xff, 0xa8, 0x4d}, {0xc0, 0x6e, 0x1c},
                           {0x66, 0x42, 0x1c}, {0x2a, 0x2e, 0x35},
                           {0x1d, 0x46, 0x6b}, {0x2f, 0x7c, 0xc0},
                           {0x7c, 0xc2, 0xff}};

std::string Interpolate(absl::Span<const Rgb> anchors, double share) {
  const double place =
      std::clamp(share, 0.0, 1.0) * static_cast<double>(anchors.size() - 1);
  const size_t below = std::min(static_cast<size_t>(place), anchors.size() - 2);
  const double part = place - static_cast<double>(below);
  Rgb mixed;
  for (size_t i = 0; i < 3; ++i) {
    const double from = anchors[below][i], to = anchors[below + 1][i];
    mixed[i] = static_cast<int>(std::lround(from + part * (to - from)));
  }
  return absl::StrFormat("#%02x%02x%02x", mixed[0], mixed[1], mixed[2]);
}

}  // namespace

std::string SequentialColor(double share) {
  return Interpolate(kViridis, share);
}

std::string DivergingClass(double share) {
  const double steps = std::clamp(share, -1.0, 1.0) * kDivergingSteps;
  return absl::StrCat("d", std::lround(steps));
}

std::string DivergingCss(bool dark) {
  std::string css;
  for (int step = -kDivergingSteps; step <= kDivergingSteps; ++step) {
    const double share = 0.5 + 0.5 * step / kDivergingSteps;
    absl::StrAppend(
        &css, ".d", step, "{fill:",
        dark ? Interpolate(kOnDark, share) : Interpolate(kOnLight, share), "}");
  }
  return css + "\n";
}

}  // namespace caracal
