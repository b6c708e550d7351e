// Numbers as the reports print them. What was not measured prints as "n/a".
#ifndef CARACAL_EVAL_REPORT_NUMBERS_H_
#define CARACAL_EVAL_REPORT_NUMBERS_H_

#include <cstdint>
#include <string>

#include "eval/statistics/interval.h"

namespace caracal {

// "3.924"; never "-0.000".
std::string Fixed(double value, int decimals);
// "+0.059", "-0.012", "0.000".
std::string Signed(double value, int decimals);
// "87.5%"; whole percents from 10 on, one decimal below.
std::string Percent(double share);
// "1,234,567"
std::string Count(int64_t value);
// "1.9 GiB"
std::string Bytes(uint64_t bytes);
// "850 ms", "4.2 s", "3 min 05 s", "2 h 07 min"
std::string Duration(double seconds);

// Decimals that show the interval's half width to about one part in four:
// 3 to 6.
int DecimalsFor(const Interval& interval);
// "[+0.021, +0.033]"; "n/a" without bounds.
std::string SignedRange(const Interval& interval, int decimals);
// "[3.79, 4.06]"
std::string Range(const Interval& interval, int decimals);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_NUMBERS_H_
