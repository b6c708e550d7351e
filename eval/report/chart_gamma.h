// A sweep of gamma, the softmax part's weight, for hybrids whose gamma was not
// learned: validation loss by gamma.
#ifndef CARACAL_EVAL_REPORT_CHART_GAMMA_H_
#define CARACAL_EVAL_REPORT_CHART_GAMMA_H_

#include <string>
#include <vector>

#include "eval/report/report_input.h"

namespace caracal {

// An <svg> element with gamma by its log-odds (what the model adds up with)
// and a ring around `chosen`. Values outside (0, 1) and losses that are not
// finite are left out; empty when fewer than two points are left.
std::string GammaChart(const std::vector<GammaLoss>& sweep, double chosen);

// One or two sentences: what was chosen, against what. Empty as above.
std::string GammaSentence(const std::vector<GammaLoss>& sweep, double chosen);

// What follows it where rows were used twice, to choose and to report: " It was
// chosen on the first 16 of the 32 rows scored above ..."; else empty.
std::string AboutGammaRows(const ReportInput& input);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_GAMMA_H_
