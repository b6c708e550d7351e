// Writes checkpoints: the rank's file under a temporary name, fsync, rename,
// fsync of the folder; then the manifest the same way. A checkpoint exists
// from the moment its manifest does, and a crash at any step leaves either no
// manifest or a whole checkpoint.
#ifndef CARACAL_DIST_CHECKPOINT_WRITER_H_
#define CARACAL_DIST_CHECKPOINT_WRITER_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/collective/collective.h"
#include "dist/checkpoint/contents.h"
#include "dist/checkpoint/manifest.h"

namespace caracal {

// The file of one rank, durable under its final name.
//   kInvalidArgument    a name, type or shard that can't be stored
//   kResourceExhausted  the disk is full; what was written is removed
absl::StatusOr<RankFile> WriteRankFile(FileSystem* file_system,
                                       const std::string& folder, uint64_t rank,
                                       const CheckpointContents& contents);

// The whole checkpoint of a job. The folder is made. A checkpoint that is
// already in it is replaced: it stops existing before the first byte is
// written. After an error the folder holds no checkpoint; others are never
// touched.
//
// With `ranks` every rank of that group calls, with what it owns, and gets the
// same answer (another rank's error with its number): each writes its own file,
// and only when all are durable does the first write the manifest. The layout
// must be of as many ranks. Null: one rank.
absl::Status WriteCheckpoint(FileSystem* file_system, const std::string& folder,
                             const CheckpointContents& contents,
                             Collective* ranks = nullptr);

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_WRITER_H_
