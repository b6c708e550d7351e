// Writes one SVG picture, element by element, for embedding in an HTML page.
// Colours and type come from the page's style sheet through classes.
#ifndef CARACAL_EVAL_REPORT_SVG_H_
#define CARACAL_EVAL_REPORT_SVG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "eval/report/scale.h"

namespace caracal {

enum class Anchor { kStart, kMiddle, kEnd };

// Coordinates are in units of the view box (pixels at full size). All texts
// are escaped here. Not thread-safe.
class Svg {
 public:
  // `description` is what a reader who cannot see the picture is told.
  Svg(double width, double height, absl::string_view description);

  double width() const { return width_; }
  double height() const { return height_; }

  void Line(double x1, double y1, double x2, double y2,
            absl::string_view style_class);
  // `tooltip` empty: none. `fill` empty: from the class.
  void Rect(double x, double y, double width, double height,
            absl::string_view style_class, absl::string_view tooltip = "",
            absl::string_view fill = "");
  void Circle(double x, double y, double radius, absl::string_view style_class,
              absl::string_view tooltip = "");
  void Polyline(const std::vector<std::pair<double, double>>& points,
                absl::string_view style_class);
  // y is the baseline's.
  void Text(double x, double y, absl::string_view text,
            absl::string_view style_class, Anchor anchor = Anchor::kStart);

  // The whole <svg> element.
  std::string Finish() &&;

 private:
  void Close(absl::string_view element, absl::string_view tooltip);

  double width_, height_;
  std::string out_;
};

// A tick's line across the plot and its label, for every tick of the scale.
void DrawVerticalGrid(Svg& svg, const Scale& x, double top, double bottom,
                      int ticks);
void DrawHorizontalGrid(Svg& svg, const Scale& y, double left, double right,
                        int ticks);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_SVG_H_
