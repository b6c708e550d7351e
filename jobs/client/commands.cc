#include "jobs/client/commands.h"

#include "jobs/client/attribute.h"
#include "jobs/client/bench.h"
#include "jobs/client/checkpoint.h"
#include "jobs/client/data_pack.h"
#include "jobs/client/explain.h"
#include "jobs/client/generate.h"
#include "jobs/client/inspect.h"
#include "jobs/client/plan.h"
#include "jobs/client/report.h"
#include "jobs/client/run.h"
#include "jobs/client/service/dashboard.h"
#include "jobs/client/service/evaluation_list.h"
#include "jobs/client/service/job_changes.h"
#include "jobs/client/service/job_list.h"
#include "jobs/client/service/logs.h"
#include "jobs/client/service/submit.h"
#include "jobs/client/service/token.h"
#include "jobs/client/service/watch.h"

namespace caracal {
namespace {

constexpr Command kCommands[] = {
    {"run", "convert a model on this machine, and report", DeclareRun},
    {"explain", "show what a job does, with every setting written out",
     DeclareExplain},
    {"plan", "work out what a job takes on a cluster, and its best layout",
     DeclarePlan},
    {"inspect", "show what a model, data or checkpoint file holds",
     DeclareInspect},
    {"data pack", "turn text into packed rows of tokens", DeclareDataPack},
    {"attribute", "measure what each component of attention brings",
     DeclareAttribute},
    {"report", "compare runs that were measured on the same rows",
     DeclareReport},
    {"generate", "continue a text", DeclareGenerate},
    {"checkpoint list", "show the checkpoints of a run", DeclareCheckpointList},
    {"checkpoint verify", "read every checkpoint of a run, and find damage",
     DeclareCheckpointVerify},
    {"checkpoint prune", "remove all but the newest checkpoints and the best",
     DeclareCheckpointPrune},
    {"submit", "give jobs to the coordinator; prints their numbers",
     DeclareSubmit},
    {"ls", "show the coordinator's jobs", DeclareLs},
    {"status", "show one of the coordinator's jobs", DeclareStatus},
    {"watch", "follow one of the coordinator's jobs", DeclareWatch},
    {"logs", "show what a job's ranks have printed", DeclareLogs},
    {"cancel", "have jobs save and end", DeclareCancel},
    {"resume", "have failed or cancelled jobs go on from their checkpoints",
     DeclareResume},
    {"rm", "forget jobs that have ended; their run folders stay", DeclareRm},
    {"priority", "change a job's place among those that wait", DeclarePriority},
    {"tune", "set values over the curriculum of a job that runs", DeclareTune},
    {"evaluation list", "show what evaluation workers measure",
     DeclareEvaluationList},
    {"evaluation cancel", "have evaluations end", DeclareEvaluationCancel},
    {"dashboard", "print the address of the coordinator's page",
     DeclareDashboard},
    {"token create", "make a token for a user; prints it", DeclareTokenCreate},
    {"token list", "show who has a token", DeclareTokenList},
    {"token revoke", "make a user's token worthless", DeclareTokenRevoke},
    {"bench", "measure the speed of a stage", DeclareBench},
};

}  // namespace

absl::Span<const Command> AllCommands() { return kCommands; }

}  // namespace caracal
