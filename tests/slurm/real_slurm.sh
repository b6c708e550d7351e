# A Slurm of one node on this machine, for tests. Sourced:
#
#   slurm_start        munged, slurmctld and slurmd, in a new folder, on free
#                      ports; sets and exports SLURM_CONF. Returns when the node
#                      takes jobs
#   slurm_stop         kills all of it, with what its jobs have left, and
#                      removes the folder; for a trap on EXIT
#   slurmd_start, slurmctld_start
#   slurmd_kill        kill -9 of slurmd and of the jobs' keepers (slurmstepd),
#                      with all that runs under them: as if the machine went off
#   slurmctld_stop     so that it is away for a while
#
# All of it runs as the user who calls. Nothing outside of the folder is used: no
# key, configuration or state of a Slurm that this machine may have.

# The daemons are there, whoever calls.
PATH=$PATH:/usr/sbin:/sbin
slurm_programs=(munged mungekey slurmctld slurmd sbatch squeue scancel scontrol
  sinfo srun)

# slurm_until SECONDS WORDS COMMAND...: until the command succeeds.
slurm_until() {
  local deadline=$((SECONDS + $1)) words=$2
  shift 2
  until "$@"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "real_slurm.sh: not in time: $words" >&2
      tail -n 20 "$slurm_folder"/*.{log,out} >&2 || true
      return 1
    fi
    sleep 0.05
  done
}

# N free ports. Somebody else may take one before we do: then a daemon says so.
slurm_free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in sockets])
PYTHON
}

slurm_configure() {
  local ports host
  read -r -a ports <<<"$(slurm_free_ports 2)"
  host=$(hostname)
  cat >"$slurm_folder/slurm.conf" <<CONF
ClusterName=caracal
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# A requeued job waits for cred_expire; less is refused.
AuthInfo=socket=$slurm_folder/munge.socket,cred_expire=5
StateSaveLocation=$slurm_folder/state
SlurmdSpoolDir=$slurm_folder/spool
# What a killed step leaves there would be in the way of the next cluster's.
TmpFS=$slurm_folder/tmp
SlurmctldPidFile=$slurm_folder/slurmctld.pid
SlurmdPidFile=$slurm_folder/slurmd.pid
SlurmctldLogFile=$slurm_folder/slurmctld.log
SlurmdLogFile=$slurm_folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=pmix
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=1,sched_min_interval=0,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
EnforcePartLimits=ALL
KillWait=5
MinJobAge=120
InactiveLimit=0
SlurmdTimeout=4
SlurmctldTimeout=10
TCPTimeout=2
MessageTimeout=5
# More than there are: ranks of several jobs at a time.
NodeName=node NodeHostname=$host NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
CONF
  # slurmd looks for one; without it there is none of ours.
  echo 'CgroupPlugin=cgroup/v1' >"$slurm_folder/cgroup.conf"
  export SLURM_CONF=$slurm_folder/slurm.conf
}

slurmctld_start() {
  slurmctld -D >>"$slurm_folder/slurmctld.out" 2>&1 &
  slurmctld_pid=$!
  slurm_until 30 "slurmctld answers" slurm_answers
}
slurm_answers() { scontrol ping 2>/dev/null | grep -q 'is UP'; }
# In order: killed, it forgets the last seconds.
slurmctld_stop() {
  kill -TERM "$slurmctld_pid"
  wait "$slurmctld_pid" || true
}
# Ends a child of ours, without a word from bash.
slurm_end() {
  {
    kill -KILL "$1"
    wait "$1"
  } 2>/dev/null || true
}

slurmd_start() {
  slurmd -D -N node >>"$slurm_folder/slurmd.out" 2>&1 &
  slurmd_pid=$!
  slurm_until 30 "the node takes jobs" slurm_node_is 'idle|mix|alloc'
}
slurm_node_is() {
  [[ $(sinfo --noheader --format=%T --nodes=node 2>/dev/null) =~ ^($1)[a-z]*$ ]]
}
# The keepers of jobs have left slurmd; all have the folder in their environment.
slurm_processes() {
  local file
  for file in $(grep -l -s -z -x -F "SLURM_CONF=$SLURM_CONF" \
    /proc/[0-9]*/environ); do
    echo "${file//[^0-9]/}"
  done
}
slurmd_kill() {
  local pid
  slurm_end "$slurmd_pid"
  # Those with a job's number, and those that keep them.
  for pid in $(slurm_processes); do
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = slurmstepd ] ||
      grep -q -s -z '^SLURM_JOB_ID=' "/proc/$pid/environ"; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
}

slurm_start() {
  local program
  for program in "${slurm_programs[@]}"; do
    if ! command -v "$program" >/dev/null; then
      echo "real_slurm.sh: no $program: this test needs Debian's packages" \
        "munge, slurm-client, slurmctld and slurmd (deploy/setup.sh)" >&2
      return 1
    fi
  done
  # Not in TEST_TMPDIR: a socket's path is short.
  slurm_folder=$(mktemp -d "${TMPDIR:-/tmp}/caracal-slurm.XXXXXX")
  chmod 0755 "$slurm_folder"
  mkdir "$slurm_folder"/{state,spool,tmp}
  slurm_configure
  mungekey --create --keyfile="$slurm_folder/munge.key"
  munged --foreground --force --socket="$slurm_folder/munge.socket" \
    --key-file="$slurm_folder/munge.key" --pid-file="$slurm_folder/munged.pid" \
    --seed-file="$slurm_folder/munge.seed" \
    --log-file="$slurm_folder/munged.log" >>"$slurm_folder/munged.out" 2>&1 &
  munged_pid=$!
  slurm_until 10 "munged" test -S "$slurm_folder/munge.socket"
  slurmctld_start
  slurmd_start
}

slurm_stop() {
  [ -n "${slurm_folder:-}" ] || return 0
  local pid again
  for pid in "${slurmd_pid:-}" "${slurmctld_pid:-}" "${munged_pid:-}"; do
    [ -z "$pid" ] || slurm_end "$pid"
  done
  for again in 1 2 3; do
    for pid in $(slurm_processes); do
      [ "$pid" = "$BASHPID" ] || [ "$pid" = "$$" ] ||
        kill -KILL "$pid" 2>/dev/null || true
    done
  done
  rm -rf "$slurm_folder"
  slurm_folder=
}
