#include "jobs/coordinator/access/method_table.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/coordinator.pb.h"
#include "proto/evaluation.pb.h"

namespace caracal {
namespace {

TEST(MethodTable, HasARowForEveryMethodOfEveryService) {
  std::vector<const google::protobuf::ServiceDescriptor*> services;
  for (const google::protobuf::FileDescriptor* file :
       {proto::SubmitRequest::descriptor()->file(),
        proto::EvaluationSpec::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      services.push_back(file->service(i));
    }
  }
  ASSERT_GE(services.size(), 5);
  for (const auto* service : services) {
    for (int k = 0; k < service->method_count(); ++k) {
      const auto* method = service->method(k);
      const std::string name =
          absl::StrCat(service->name(), ".", method->name());
      const MethodRule* rule = FindMethodRule(name);
      ASSERT_NE(rule, nullptr) << name << " has no row: decide who may call it";
      // Gangs, and nobody else, show a credential of their own.
      const bool of_gangs =
          method->input_type()->FindFieldByName("credential") != nullptr;
      EXPECT_EQ(!rule->needed.has_value(), of_gangs) << name;
      EXPECT_EQ(of_gangs, service->name() == "Gangs") << name;
    }
  }
}

TEST(MethodTable, LookingIsForViewersAndTokensForAdmins) {
  EXPECT_EQ(FindMethodRule("Jobs.Get")->needed, Role::kViewer);
  EXPECT_EQ(FindMethodRule("Jobs.Submit")->needed, Role::kSubmitter);
  EXPECT_TRUE(FindMethodRule("Jobs.Submit")->changes);
  for (const char* method : {"Tokens.Create", "Tokens.List", "Tokens.Revoke"}) {
    EXPECT_EQ(FindMethodRule(method)->needed, Role::kAdmin);
  }
  EXPECT_EQ(FindMethodRule("Jobs.Submi"), nullptr);
  EXPECT_EQ(FindMethodRule(""), nullptr);
}

}  // namespace
}  // namespace caracal
