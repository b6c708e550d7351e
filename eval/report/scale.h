// Scales of charts: from values to positions on the page, and their ticks.
#ifndef CARACAL_EVAL_REPORT_SCALE_H_
#define CARACAL_EVAL_REPORT_SCALE_H_

#include <string>
#include <vector>

namespace caracal {

// Maps [low, high] onto [from, to] (pixels; from > to turns it round),
// linearly or by logarithm (low > 0). A domain without width is given one.
class Scale {
 public:
  static Scale Linear(double low, double high, double from, double to);
  static Scale Log(double low, double high, double from, double to);

  double At(double value) const;
  double low() const { return low_; }
  double high() const { return high_; }
  double from() const { return from_; }
  double to() const { return to_; }
  bool is_log() const { return log_; }

  struct Tick {
    double value;
    std::string label;
  };
  // About `count` round values inside the domain: steps of 1, 2 or 5 times a
  // power of ten, or for a logarithm powers of ten, finer where few fit.
  std::vector<Tick> Ticks(int count) const;

 private:
  Scale(double low, double high, double from, double to, bool log)
      : low_(low), high_(high), from_(from), to_(to), log_(log) {}
  std::vector<Tick> LinearTicks(int count) const;
  std::vector<Tick> LogTicks(int count) const;

  double low_, high_, from_, to_;
  bool log_;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_SCALE_H_
