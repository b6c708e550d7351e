// A line of small bars for terminals.
#ifndef CARACAL_EVAL_REPORT_SPARK_LINE_H_
#define CARACAL_EVAL_REPORT_SPARK_LINE_H_

#include <string>
#include <vector>

namespace caracal {

// One character a value, on the scale from `low` to `high`; values outside of
// it are drawn at its end, those that are not finite as a space. `unicode`:
// block characters, else ASCII.
std::string SparkLine(const std::vector<double>& values, double low,
                      double high, bool unicode = true);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_SPARK_LINE_H_
