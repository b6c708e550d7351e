// `caracald --data DIR token create|list|revoke`: tokens while no coordinator
// runs, for the first of them and for when no admin is left.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_TOKEN_COMMAND_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_TOKEN_COMMAND_H_

#include <ostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

namespace caracal {

// Outlives the app it is declared on.
class TokenCommand {
 public:
  void Declare(CLI::App& app);

  // Whether the command line asked for it.
  bool chosen() const { return token_->parsed(); }
  // On the data folder, which no coordinator may use: whoever may write there
  // is the admin of admins. Only `create` makes it, and says so; kNotFound of
  // the others where there is no database.
  absl::Status Run(const std::string& data_folder, std::ostream& out,
                   std::ostream& err) const;

 private:
  CLI::App *token_ = nullptr, *create_ = nullptr, *revoke_ = nullptr;
  std::string name_, role_, expires_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_TOKEN_COMMAND_H_
