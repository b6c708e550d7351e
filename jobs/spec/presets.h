// Presets: names for lists of stages (method: docs/method.md, "Presets"). A
// preset only ever expands to stages; nothing downstream knows of it.
#ifndef CARACAL_JOBS_SPEC_PRESETS_H_
#define CARACAL_JOBS_SPEC_PRESETS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/job.pb.h"

namespace caracal {

struct Preset {
  const char* name;
  const char* summary;  // one line for people
  // What the preset adds to a job, in text format. The job's own fields win.
  const char* job;
};

// Null when there is none of that name.
const Preset* FindPreset(absl::string_view name);

std::vector<std::string> PresetNames();

// Replaces job->preset by the stages it stands for, and notes its name in
// expanded_from. The job's curriculum is laid over that of the preset's
// finetune stages: fields it sets win, schedules as a whole. A job without a
// preset, with an unknown one or with stages beside it stays as it is
// (validation reports the last two).
void ExpandPreset(proto::Job* job);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_PRESETS_H_
