# A Slurm on this machine, for tests. Sourced:
#
#   slurm_start [accounting] [enforced] [two]
#                      munged, slurmctld and slurmd, in a new folder, on free
#                      ports; sets and exports SLURM_CONF. Returns when the node
#                      takes jobs. With `accounting` slurmdbd, too, and a MariaDB
#                      for it; `enforced`: only those with an account may submit.
#                      `two`: a second node, node2, which is in the partition
#                      `fast` alone
#   slurm_forget       the next slurmctld forgets jobs soon after their end
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
accounting_programs=(mariadbd slurmdbd sacct)

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
  read -r -a ports <<<"$(slurm_free_ports 3)"
  host=$(hostname)
  cat >"$slurm_folder/slurm.conf" <<CONF
ClusterName=caracal
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# A requeued job waits for cred_expire; less is refused.
AuthInfo=socket=$slurm_folder/munge.socket,cred_expire=5
StateSaveLocation=$slurm_folder/state
SlurmdSpoolDir=$slurm_folder/spool/%n
# What a killed step leaves there would be in the way of the next cluster's.
TmpFS=$slurm_folder/tmp/%n
SlurmctldPidFile=$slurm_folder/slurmctld.pid
SlurmdPidFile=$slurm_folder/slurmd.%n.pid
SlurmctldLogFile=$slurm_folder/slurmctld.log
SlurmdLogFile=$slurm_folder/slurmd.%n.log
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
GresTypes=widget
# More CPUs than there are: ranks of several jobs at a time.
NodeName=DEFAULT CPUs=8 RealMemory=1024 Feature=big,rack1 Gres=widget:4 State=UNKNOWN
NodeName=node NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]}
PartitionName=all Nodes=node Default=YES MaxTime=INFINITE State=UP
PartitionName=fast Nodes=$(slurm_list "${slurm_nodes[@]}") MaxTime=INFINITE State=UP
CONF
  if [ "${#slurm_nodes[@]}" -gt 1 ]; then
    sed -i "/^NodeName=node /{p;s/node /node2 /;s/Port=.*/Port=${ports[2]}/}" \
      "$slurm_folder/slurm.conf"
  fi
  echo 'Name=widget Count=4' >"$slurm_folder/gres.conf"
  # slurmd looks for one; without it there is none of ours.
  echo 'CgroupPlugin=cgroup/v1' >"$slurm_folder/cgroup.conf"
  export SLURM_CONF=$slurm_folder/slurm.conf
}

# slurm_list A B...: "A,B,..."
slurm_list() { (IFS=, && echo "$*"); }

# For slurm.conf as it is; a copy without stays beside it, as `plain/slurm.conf`.
slurm_configure_accounting() {
  local ports
  read -r -a ports <<<"$(slurm_free_ports 2)"
  database_port=${ports[1]}
  mkdir "$slurm_folder/plain"
  cp "$slurm_folder"/{slurm,gres,cgroup}.conf "$slurm_folder/plain"
  cat >>"$slurm_folder/slurm.conf" <<CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=${ports[0]}
AccountingStoragePass=$slurm_folder/munge.socket
CONF
  cat >"$slurm_folder/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$slurm_folder/munge.socket
DbdHost=$(hostname)
DbdAddr=127.0.0.1
DbdPort=${ports[0]}
SlurmUser=$(id -un)
LogFile=$slurm_folder/slurmdbd.log
PidFile=$slurm_folder/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$database_port
StorageUser=slurm
StoragePass=none
CONF
  chmod 0600 "$slurm_folder/slurmdbd.conf"
}

# Nobody is asked who they are: it is there for a minute, on the loopback, and
# holds nothing but this cluster's jobs.
database_start() {
  local database=(mariadbd --no-defaults "--user=$(id -un)"
    "--datadir=$slurm_folder/database")
  mkdir "$slurm_folder/database"
  # A statement a line; slurmdbd stores procedures, for which there are tables.
  {
    printf 'CREATE DATABASE mysql;\nUSE mysql;\n'
    cat /usr/share/mysql/mysql_system_tables.sql
  } | "${database[@]}" --bootstrap >>"$slurm_folder/database.out" 2>&1
  "${database[@]}" --skip-grant-tables --socket="$slurm_folder/database.socket" \
    --bind-address=127.0.0.1 --port="$database_port" \
    --innodb-flush-log-at-trx-commit=0 >>"$slurm_folder/database.out" 2>&1 &
  database_pid=$!
  slurm_until 30 "MariaDB" database_listens
}
database_listens() { (: >"/dev/tcp/127.0.0.1/$database_port") 2>/dev/null; }
slurmdbd_start() {
  slurmdbd -D >>"$slurm_folder/slurmdbd.out" 2>&1 &
  slurmdbd_pid=$!
  slurm_until 30 "slurmdbd answers" slurmdbd_answers
}
slurmdbd_answers() {
  timeout 5 sacctmgr --noheader list cluster >/dev/null 2>&1
}

# In seconds; with 0 it forgets none. How often it looks it takes from here when
# it starts.
slurm_forget() { sed -i 's/^MinJobAge=.*/MinJobAge=2/' "$SLURM_CONF"; }

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
  local node
  slurmd_pids=()
  for node in "${slurm_nodes[@]}"; do
    mkdir -p "$slurm_folder"/{spool,tmp}/"$node"
    slurmd -D -N "$node" >>"$slurm_folder/slurmd.out" 2>&1 &
    slurmd_pids+=($!)
  done
  for node in "${slurm_nodes[@]}"; do
    slurm_until 30 "$node takes jobs" slurm_takes_jobs "$node"
  done
}
slurm_takes_jobs() {
  [[ $(sinfo --noheader -N --format=%T --nodes="$1" 2>/dev/null |
    head -n 1) =~ ^(idle|mix|alloc)[a-z]*$ ]]
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
  for pid in "${slurmd_pids[@]}"; do slurm_end "$pid"; done
  # Those with a job's number, and those that keep them.
  for pid in $(slurm_processes); do
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = slurmstepd ] ||
      grep -q -s -z '^SLURM_JOB_ID=' "/proc/$pid/environ"; then
      kill -KILL "$pid" 2>/dev/null || true
    fi
  done
}

slurm_start() {
  local program programs=("${slurm_programs[@]}") with=" $* "
  slurm_nodes=(node)
  [[ $with != *" two "* ]] || slurm_nodes+=(node2)
  [[ $with != *" accounting "* ]] || programs+=("${accounting_programs[@]}")
  for program in "${programs[@]}"; do
    if ! command -v "$program" >/dev/null; then
      echo "real_slurm.sh: no $program: this test needs Debian's packages" \
        "munge, slurm-client, slurmctld and slurmd, and for the accounting" \
        "mariadb-server-core and slurmdbd (deploy/setup.sh)" >&2
      return 1
    fi
  done
  # Not in TEST_TMPDIR: a socket's path is short.
  slurm_folder=$(mktemp -d "${TMPDIR:-/tmp}/caracal-slurm.XXXXXX")
  chmod 0755 "$slurm_folder"
  mkdir "$slurm_folder"/{state,spool,tmp}
  slurm_configure
  [[ $with != *" accounting "* ]] || slurm_configure_accounting
  [[ $with != *" enforced "* ]] ||
    echo 'AccountingStorageEnforce=associations,qos' >>"$SLURM_CONF"
  mungekey --create --keyfile="$slurm_folder/munge.key"
  munged --foreground --force --socket="$slurm_folder/munge.socket" \
    --key-file="$slurm_folder/munge.key" --pid-file="$slurm_folder/munged.pid" \
    --seed-file="$slurm_folder/munge.seed" \
    --log-file="$slurm_folder/munged.log" >>"$slurm_folder/munged.out" 2>&1 &
  munged_pid=$!
  slurm_until 10 "munged" test -S "$slurm_folder/munge.socket"
  if [[ $with == *" accounting "* ]]; then
    database_start
    slurmdbd_start
  fi
  slurmctld_start
  slurmd_start
}

slurm_stop() {
  [ -n "${slurm_folder:-}" ] || return 0
  local pid again
  for pid in "${slurmd_pids[@]}" "${slurmctld_pid:-}" "${slurmdbd_pid:-}" \
    "${database_pid:-}" "${munged_pid:-}"; do
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
