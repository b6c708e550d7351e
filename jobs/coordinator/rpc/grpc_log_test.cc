#include "jobs/coordinator/rpc/grpc_log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

constexpr char kUnknownCa[] =
    "Handshake failed with fatal error SSL_ERROR_SSL: error:0A000418:SSL "
    "routines::tlsv1 alert unknown ca.";

class GrpcLogTest : public ::testing::Test {
 protected:
  // As the library has it once it is used.
  GrpcLogTest() { gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR); }
};

TEST_F(GrpcLogTest, SaysWhatAFailedHandshakeMeans) {
  EXPECT_EQ(FailedHandshake(kUnknownCa),
            "a client refused the certificate of this server (tlsv1 alert "
            "unknown ca)");
  EXPECT_EQ(FailedHandshake("Handshake failed with fatal error SSL_ERROR_SSL: "
                            "error:0A00009C:SSL routines::http request."),
            "a TLS handshake failed (http request)");
  EXPECT_EQ(FailedHandshake("Failed to bind"), "");
}

TEST_F(GrpcLogTest, HandshakesAreToldOnceASecond) {
  unsetenv("GRPC_VERBOSITY");
  TellGrpcLog("daemon");
  CaptureStderr();
  for (int i = 0; i < 100; ++i) gpr_log(GPR_ERROR, "%s", kUnknownCa);
  gpr_log(GPR_ERROR, "something else");
  const std::string told = GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("daemon: a client refused the certificate of "
                              "this server (tlsv1 alert unknown ca); gRPC does "
                              "not say who that was\n"));
  EXPECT_THAT(told, HasSubstr("\ndaemon: gRPC: something else\n"));
  EXPECT_LT(told.size(), 10 * sizeof(kUnknownCa));
}

TEST_F(GrpcLogTest, SaysNothingWhereNothingIsAskedFor) {
  unsetenv("GRPC_VERBOSITY");
  SilenceGrpcLog();
  CaptureStderr();
  gpr_log(GPR_ERROR, "%s", kUnknownCa);
  EXPECT_EQ(GetCapturedStderr(), "");
}

TEST_F(GrpcLogTest, IsTheLibrarysOwnWhereItIsAskedFor) {
  gpr_set_log_function(nullptr);
  setenv("GRPC_VERBOSITY", "ERROR", 1);
  SilenceGrpcLog();
  CaptureStderr();
  gpr_log(GPR_ERROR, "%s", kUnknownCa);
  EXPECT_THAT(GetCapturedStderr(), HasSubstr(kUnknownCa));
}

}  // namespace
}  // namespace caracal
