// The settings of an attribution run in words.
#ifndef CARACAL_EVAL_REPORT_SETTINGS_TEXT_H_
#define CARACAL_EVAL_REPORT_SETTINGS_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "eval/attribution/result.h"

namespace caracal {

// "Hybrid attention: sliding window 64, no sinks, hedgehog features 64"
std::string DescribeAttention(const AttributionSettings& settings);

// "32 rows of 512 tokens, heldout.h5"; "" where no row was scored.
std::string DescribeRows(const AttributionSettings& settings);

// Every setting as (name, value), for a table.
std::vector<std::pair<std::string, std::string>> SettingsTable(
    const AttributionSettings& settings);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_SETTINGS_TEXT_H_
