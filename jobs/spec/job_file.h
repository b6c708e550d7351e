// Job files: text format or JSON in, an expanded and checked job out, and back
// to a file in the run folder.
#ifndef CARACAL_JOBS_SPEC_JOB_FILE_H_
#define CARACAL_JOBS_SPEC_JOB_FILE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Reads a job as it was written: nothing is filled in or checked beyond syntax,
// names and types. `file` names the text in locations (which may be null). A
// text whose first character is '{', or a name that ends in ".json", is JSON.
// Problems are appended: faults of the syntax, which are of no field, and then
// what is wrong with what could be read.
proto::Job ParseJob(absl::string_view text, absl::string_view file,
                    FieldLocations* locations, std::vector<Problem>* problems);

// The text of a job file. kInvalidArgument for a folder and for one that is
// far too long for a job; kNotFound and others.
absl::StatusOr<std::string> ReadJobFile(const std::string& path,
                                        FileSystem* files);

// Reads the job file `path`, applies `overrides` ("attention.window=32", in
// order), makes paths absolute (relative ones count from the file's folder;
// from the working directory where an override gives them), expands and
// validates, and checks that model and data are there. `check`, if there is
// one, gets a job that was read whole and has no problem of model, data or how
// they are trained, and appends what it finds; its errors are returned as they
// are, or are one more problem where there are others. kInvalidArgument with
// all problems, one a line; kNotFound and others when the file can't be read.
using JobCheck =
    std::function<absl::Status(const proto::Job&, std::vector<Problem>*)>;
absl::StatusOr<proto::Job> LoadJob(const std::string& path,
                                   const std::vector<std::string>& overrides,
                                   FileSystem* files = FileSystem::Posix(),
                                   const JobCheck& check = nullptr);

// The same of a text, as `LoadJob` has it of its file: `file` names it in
// problems, relative paths count from `folder`; where that is "" there must be
// none. Where single fields can't be read, the others are checked all the same;
// where the syntax is at fault, for names, types and single values alone. A job
// without problems comes back; with any it is not whole, and empty where the
// syntax is at fault. Null `files`: whether model and data are there is left to
// whoever runs the job. `locations` may be null.
absl::StatusOr<proto::Job> LoadJobText(
    absl::string_view text, const std::string& file, const std::string& folder,
    const std::vector<std::string>& overrides, FileSystem* files,
    const JobCheck& check, std::vector<Problem>* problems,
    FieldLocations* locations = nullptr);

// The job in text format, under a comment line. Parses back to an equal job.
std::string JobText(const proto::Job& job);

// Writes JobText atomically.
absl::Status WriteJobText(const proto::Job& job, const std::string& path,
                          FileSystem* files = FileSystem::Posix());

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_JOB_FILE_H_
