// How a reader learns that its stream is heard before there is anything to
// tell.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_STREAM_MARK_H_
#define CARACAL_JOBS_COORDINATOR_RPC_STREAM_MARK_H_

namespace caracal {

// In the initial metadata of streams that were let in, and of no other answer:
// a stream that was refused, or found nobody, has none.
inline constexpr char kStreamMark[] = "caracal-stream";

// In the trailing metadata of calls that came too fast: when to try again.
inline constexpr char kRetryPushback[] = "grpc-retry-pushback-ms";

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_STREAM_MARK_H_
