// Elements are appended as text; nothing is kept but the string.
#include "eval/report/svg.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "eval/report/text.h"

namespace caracal {
namespace {

// "12.5": a hundredth of a pixel is enough, and short.
std::string Pixels(double value) {
  std::string text = absl::StrFormat("%.2f", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string Attribute(absl::string_view name, double value) {
  return absl::StrCat(" ", name, "=\"", Pixels(value), "\"");
}

std::string Attribute(absl::string_view name, absl::string_view value) {
  if (value.empty()) return "";
  return absl::StrCat(" ", name, "=\"", EscapeHtml(value), "\"");
}

}  // namespace

Svg::Svg(double width, double height, absl::string_view description)
    : width_(width), height_(height) {
  out_ = absl::StrCat("<svg class=\"chart\" viewBox=\"0 0 ", Pixels(width), " ",
                      Pixels(height), "\" role=\"img\"",
                      Attribute("aria-label", description), ">\n");
}

void Svg::Close(absl::string_view element, absl::string_view tooltip) {
  if (tooltip.empty()) {
    out_ += "/>\n";
  } else {
    absl::StrAppend(&out_, "><title>", EscapeHtml(tooltip), "</title></",
                    element, ">\n");
  }
}

void Svg::Line(double x1, double y1, double x2, double y2,
               absl::string_view style_class) {
  absl::StrAppend(&out_, "<line", Attribute("class", style_class),
                  Attribute("x1", x1), Attribute("y1", y1), Attribute("x2", x2),
                  Attribute("y2", y2));
  Close("line", "");
}

void Svg::Rect(double x, double y, double width, double height,
               absl::string_view style_class, absl::string_view tooltip,
               absl::string_view fill) {
  absl::StrAppend(&out_, "<rect", Attribute("class", style_class),
                  Attribute("x", x), Attribute("y", y),
                  Attribute("width", width), Attribute("height", height),
                  Attribute("fill", fill));
  Close("rect", tooltip);
}

void Svg::Circle(double x, double y, double radius,
                 absl::string_view style_class, absl::string_view tooltip) {
  absl::StrAppend(&out_, "<circle", Attribute("class", style_class),
                  Attribute("cx", x), Attribute("cy", y),
                  Attribute("r", radius));
  Close("circle", tooltip);
}

void Svg::Polyline(const std::vector<std::pair<double, double>>& points,
                   absl::string_view style_class) {
  absl::StrAppend(&out_, "<polyline", Attribute("class", style_class),
                  " points=\"");
  for (const auto& [x, y] : points) {
    absl::StrAppend(&out_, Pixels(x), ",", Pixels(y), " ");
  }
  out_ += "\"/>\n";
}

void Svg::Text(double x, double y, absl::string_view text,
               absl::string_view style_class, Anchor anchor) {
  absl::string_view place = anchor == Anchor::kMiddle ? "middle"
                            : anchor == Anchor::kEnd  ? "end"
                                                      : "";
  absl::StrAppend(&out_, "<text", Attribute("class", style_class),
                  Attribute("x", x), Attribute("y", y),
                  Attribute("text-anchor", place), ">",
                  EscapeHtml(TypographicMinus(text)), "</text>\n");
}

std::string Svg::Finish() && { return std::move(out_) + "</svg>\n"; }

void DrawVerticalGrid(Svg& svg, const Scale& x, double top, double bottom,
                      int ticks) {
  for (const Scale::Tick& tick : x.Ticks(ticks)) {
    const double at = x.At(tick.value);
    svg.Line(at, top, at, bottom, "grid");
    svg.Text(at, bottom + 17, tick.label, "tick", Anchor::kMiddle);
  }
}

void DrawHorizontalGrid(Svg& svg, const Scale& y, double left, double right,
                        int ticks) {
  for (const Scale::Tick& tick : y.Ticks(ticks)) {
    const double at = y.At(tick.value);
    svg.Line(left, at, right, at, "grid");
    svg.Text(left - 8, at + 4, tick.label, "tick", Anchor::kEnd);
  }
}

}  // namespace caracal
