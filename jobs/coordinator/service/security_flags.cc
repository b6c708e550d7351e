#include "jobs/coordinator/service/security_flags.h"

namespace caracal {

void DeclareSecurityFlags(CLI::App& app, SecurityOptions* options) {
  const auto file = [&](const char* name, std::string* value,
                        const char* help) {
    app.add_option(name, *value, help)->type_name("FILE");
  };
  file("--tls-certificate", &options->tls.certificate,
       "certificate in PEM format, with those it needs to be believed; needed "
       "when others than this machine can call");
  file("--tls-key", &options->tls.key, "its key");
  file("--tls-trust", &options->tls.trust,
       "what clients are to trust; by default the certificate itself");
  file("--client-ca", &options->tls.client_ca,
       "who signs certificates of clients");
  file("--certificate-roles", &options->certificate_roles_file,
       "lines of NAME ROLE: what clients may do whose certificate has this "
       "common name");
  app.add_flag("--require-token", options->require_token,
               "let in nobody without a token or certificate, not even from "
               "this machine");
  app.add_option("--root", options->roots,
                 "folder that jobs may read; repeatable; by default, if only "
                 "this machine can call, all")
      ->type_name("DIR")
      ->allow_extra_args(false);
  app.add_option("--rate", options->rate,
                 "calls a second of each caller; 0: no limit, which is the "
                 "default as long as no tokens are needed, else 100")
      ->check(CLI::Range(0.0, 1e9));
}

}  // namespace caracal
