// A coordinator's jobs in words, for terminals.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_JOB_WORDS_H_
#define CARACAL_JOBS_CLIENT_SERVICE_JOB_WORDS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/client/console.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// "running"; "unknown" for those of a newer coordinator.
std::string StateWord(proto::JobState state);
Style StyleOf(proto::JobState state);
bool HasEnded(proto::JobState state);

// "transfer 12/64"; "" before the first step.
std::string ProgressWords(const proto::JobProgress& progress);

// "3 min ago", of a time before `now`.
std::string AgoWords(const google::protobuf::Timestamp& time, absl::Time now);
absl::Time TimeOf(const google::protobuf::Timestamp& time);
// As JSON has it, to the millisecond: "2026-11-29T10:00:00.000Z".
std::string JsonDate(const google::protobuf::Timestamp& time);

// "0-3 on node1, 4-7 on node2" of a host for each rank; "0-3, 6 on node1, 4-5
// on node2". Of many hosts the first 8, and how many more there are.
std::string HostWords(const std::vector<std::string>& hosts);

// "job 3 is removed, with the folders of 2 gangs (14.2 KiB); its run folder
// stays: /data/runs/3".
std::string RemovalWords(uint64_t id, const proto::RemoveJobResponse& removed);

nlohmann::ordered_json ToJson(const proto::JobInfo& job);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_JOB_WORDS_H_
