// Names and what they are, under each other; long texts wrap beside the name.
// Texts become Printable() (eval/report/text.h).
#ifndef CARACAL_JOBS_CLIENT_FACT_LIST_H_
#define CARACAL_JOBS_CLIENT_FACT_LIST_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "jobs/client/console.h"

namespace caracal {

class FactList {
 public:
  // Facts without a text are left out.
  void Add(std::string name, std::string text);

  // Texts begin `name_columns` after `indent` spaces.
  std::string ToString(const Console& console, int indent,
                       int name_columns) const;

 private:
  std::vector<std::pair<std::string, std::string>> facts_;
};

// `text` in lines of the terminal's width (at most 100), each after `indent`
// spaces.
std::string Paragraph(absl::string_view text, const Console& console,
                      int indent);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_FACT_LIST_H_
