// A tiny check that markup is well-formed, for tests of what we write.
#ifndef CARACAL_EVAL_REPORT_TESTING_XML_CHECKER_H_
#define CARACAL_EVAL_REPORT_TESTING_XML_CHECKER_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

// How often each element occurs, or what is wrong and where: tags that do not
// match, attributes without quotes or twice, a bare & or < in text, control
// characters. Accepts one document type line; knows no comments, CDATA or
// processing instructions, which the reports do not use.
absl::StatusOr<std::map<std::string, int>> CheckXml(absl::string_view markup);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_TESTING_XML_CHECKER_H_
