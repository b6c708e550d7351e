// What is wrong with a job: every problem found, not just the first, each
// with the field it is about and where that field was written.
#ifndef CARACAL_JOBS_SPEC_PROBLEM_H_
#define CARACAL_JOBS_SPEC_PROBLEM_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caracal {

struct Problem {
  std::string field;    // "stages[0].transfer.lr"; empty: the whole file
  std::string message;  // what was found and what was expected, no full stop
  std::string where;    // "job.textproto:3:5", "--set"; empty: not known

  // "where: field: message", without the parts that are empty.
  std::string ToString() const;
};

// "job.textproto:3:5": line and column from 1. Line 0: `file` alone.
std::string LocationIn(absl::string_view file, int line, int column);

// Where each field of a job was written, by field path.
using FieldLocations = std::map<std::string, std::string>;

// The location of `field`, or of the nearest field around it that has one.
// Empty when there is none.
std::string LocationOf(const FieldLocations& locations,
                       absl::string_view field);

// The field as it was written: that of a shorthand, `curriculum.drop`, where
// the expansion took `stages[1].finetune.curriculum.drop` from it.
std::string FieldAsWritten(const FieldLocations& locations,
                           absl::string_view field);

// Whether one of `problems` is about `field`, or about what it is in or what is
// in it.
bool IsAboutSame(const std::vector<Problem>& problems, absl::string_view field);

// Appends those of `found` that say more: what else is wrong with a field, or
// with what it is in or what is in it, follows from what is wrong already.
void AddProblems(std::vector<Problem> found, std::vector<Problem>* problems);

// OK when there are none; else kInvalidArgument with one line a problem.
// `subject` (the job file) begins the message where there are several, or
// where the only one has no location.
absl::Status ProblemsToStatus(const std::vector<Problem>& problems,
                              absl::string_view subject);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_PROBLEM_H_
