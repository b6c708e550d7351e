// For tests: calls with any bytes in place of a request.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_TESTING_RAW_CALL_H_
#define CARACAL_JOBS_COORDINATOR_RPC_TESTING_RAW_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace caracal {

// How "/package.Service/Method" ends, called with these bytes. Of a stream that
// goes on, cancelled after `patience`.
inline grpc::Status CallRaw(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
    const std::string& bytes, const std::string& token = "",
    std::chrono::milliseconds patience = std::chrono::seconds(60)) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const auto call = stub.PrepareUnaryCall(&context, method,
                                          grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, &status);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  return status;
}

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_TESTING_RAW_CALL_H_
