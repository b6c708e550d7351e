// A plain sentence with its numbers, and whether it is good news.
#ifndef CARACAL_EVAL_REPORT_FINDING_H_
#define CARACAL_EVAL_REPORT_FINDING_H_

#include <string>

namespace caracal {

enum class Tone { kGood, kPlain, kWarning };

struct Finding {
  Tone tone;
  std::string text;  // one or two sentences; hyphens for minus signs
};

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_FINDING_H_
