// What a job meets: its model, its data and its machine; and what only they
// can tell is wrong with it.
#ifndef CARACAL_JOBS_SPEC_SURROUNDINGS_H_
#define CARACAL_JOBS_SPEC_SURROUNDINGS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Packed rows.
struct RowsShape {
  int64_t rows = 0;
  int64_t tokens = 0;      // targets of a row
  bool documents = false;  // says which document each token is of
};

struct JobSurroundings {
  int64_t layers = 0;  // of the model
  int64_t heads = 0, kv_heads = 0;
  int64_t max_positions = 0;  // its context, tokens
  RowsShape train;
  std::optional<RowsShape> held_out;
  int cores = 0;  // that this process may use
};

// Targets of a row that are trained on: data.seq_len, or all.
int64_t TrainedTokens(const proto::Job& expanded,
                      const JobSurroundings& around);

// Whether no position of a row of `tokens` has a key outside window and sinks.
bool LinearPastEmpty(const proto::Attention& attention, int64_t window,
                     int64_t tokens);

// attention.softmax_layers: layers that the model has, and not all of them.
void CheckSoftmaxLayers(const proto::Job& expanded, int64_t layers,
                        std::vector<Problem>* problems);

// Appends the problems of a valid, expanded job in these surroundings.
void CheckSurroundings(const proto::Job& expanded,
                       const JobSurroundings& around,
                       std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_SURROUNDINGS_H_
