// Where attention's mass lies, by class of key: a bar for the teacher and one
// for the student.
#ifndef CARACAL_EVAL_REPORT_CHART_KEY_CLASSES_H_
#define CARACAL_EVAL_REPORT_CHART_KEY_CLASSES_H_

#include <string>

#include "eval/attribution/result.h"

namespace caracal {

// Means over layers and heads; NaN where nothing was measured.
KeyClasses TeacherClasses(const AttributionResult& result);
KeyClasses StudentClasses(const AttributionResult& result);

// An <svg> element; empty when either was not measured.
std::string KeyClassChart(const KeyClasses& teacher, const KeyClasses& student);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_CHART_KEY_CLASSES_H_
