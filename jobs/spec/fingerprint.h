// What makes two jobs the same conversion, so that one may resume the other's
// run.
#ifndef CARACAL_JOBS_SPEC_FINGERPRINT_H_
#define CARACAL_JOBS_SPEC_FINGERPRINT_H_

#include <string>
#include <utility>
#include <vector>

#include "proto/job.pb.h"

namespace caracal {

// 32 hexadecimal digits of everything in an expanded job that decides what is
// computed. Left out, so free to change when a run is resumed: name, device,
// threads, parallel, slurm, budget.micro_batch (order of sums only),
// checkpoint, evaluation, expanded_from, and the paths of model and data (files
// may move; the trainer compares their contents by their own fingerprints). A
// field that has its default counts as absent, so new fields don't change old
// jobs. So do early_stop and closed_loop where all in them is default, though
// they do something: checkpoints hold fingerprints from before that was minded.
std::string JobFingerprint(const proto::Job& expanded);

// The same of everything but the seed, and with the paths of model and data as
// the job gives them, and of early_stop and closed_loop whatever is in them:
// equal for runs that differ in their seed alone. Runs of files that moved in
// between count as different.
std::string JobFingerprintButForSeed(const proto::Job& expanded);

// One line "field: was A, is B" for each difference that the fingerprint sees,
// and for early_stop and closed_loop; empty when one job may resume the other's
// run.
std::vector<std::string> JobDifferences(const proto::Job& before,
                                        const proto::Job& now);

// Every field that ranks of one gang must have alike, by its path: all but
// threads, device and where files lie.
std::vector<std::pair<std::string, std::string>> FieldsOfGang(
    const proto::Job& expanded);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_FINGERPRINT_H_
