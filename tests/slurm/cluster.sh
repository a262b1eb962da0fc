#!/usr/bin/env bash
# A Slurm of four nodes on this machine, from real daemons, for tests:
#
#   cluster.sh start FOLDER         start it; its files are below FOLDER (new), its clients use SLURM_CONF=FOLDER/slurm.conf
#   cluster.sh kill FOLDER NODE     a node fails: its slurmd and all that runs there die at once
#   cluster.sh revive FOLDER NODE   and comes back
#   cluster.sh stop FOLDER          take all of it down, also what is half started or half dead
#
# It has its own munge key, sockets, ports and spool folders, and touches no Slurm that is already there. It needs root,
# as slurmd starts jobs for users. start ends with 77 where it cannot work here, and says why.
# Nodes n1 … n4 of two CPUs each, in two partitions: normal (the default), and high, whose jobs preempt those in normal.
set -euo pipefail
shopt -s nullglob

action=${1:-} folder=${2:-} nodes=(n1 n2 n3 n4)

skip() {
  echo "skipped: $*"
  exit 77
}

# What is needed to start.
check() {
  local name
  [ "$(id -u)" -eq 0 ] || skip "the Slurm testbed needs root"
  for name in munged slurmctld slurmd sbatch srun scontrol; do
    PATH=$PATH:/usr/sbin:/sbin type -P "$name" >/dev/null ||
      skip "no program $name: apt-get install slurm-wlm munge"
  done
  [ ! -e "$folder" ] || { echo "cluster.sh: $folder is there already" >&2; exit 2; }
}

# A free port, from a random one on; below those that systems give to outgoing connections.
free_port() {
  local port=$((RANDOM % 12000 + 20000))
  while (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || [[ " ${taken[*]} " == *" $port "* ]]; do port=$((port + 1)); done
  taken+=("$port")
}

write_conf() {
  local name host taken=()
  host=$(hostname -s)
  for name in ctld "${nodes[@]}"; do free_port; done
  cat >"$folder/slurm.conf" <<END
ClusterName=retort
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${taken[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$short/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdSpoolDir=$short/spool-%n
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmdLogFile=$folder/slurmd-%n.log
# srun --mpi=pmix meets in this folder; nodes of one machine must not share it.
TmpFS=$short/tmp-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
# Real sites wait minutes; a test does not.
MessageTimeout=5
SlurmdTimeout=10
KillWait=5
MinJobAge=600
OverTimeLimit=0
MailProg=$folder/mail
TaskProlog=$folder/prolog
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
END
  for name in "${!nodes[@]}"; do
    echo "NodeName=${nodes[name]} NodeHostname=$host NodeAddr=127.0.0.1 Port=${taken[name + 1]} CPUs=2 RealMemory=4000"
  done >>"$folder/slurm.conf"
  cat >>"$folder/slurm.conf" <<END
PartitionName=normal Nodes=n[1-4] Default=YES PriorityTier=1 GraceTime=20 DefaultTime=10
PartitionName=high Nodes=n[1-4] PriorityTier=10 PreemptMode=OFF DefaultTime=10
END
  # What Slurm 22.05 takes otherwise, a mixture of two algorithms, lets ranks leave MPI_Init too early: some then crash.
  echo "PMIxCollFence=tree" >"$folder/mpi.conf"
  # Slurm calls it as it would call mail: -s SUBJECT ADDRESS.
  cat >"$folder/mail" <<END
#!/bin/sh
echo "to \$3: \$2" >>"$folder/mail.txt"
END
  # Open MPI names its temporary folder and its shared memory by host, and these nodes have one host: so each has a folder
  # of its own, and messages go by TCP over loopback.
  cat >"$folder/prolog" <<END
#!/bin/sh
echo "export TMPDIR=$short/tmp-\$SLURMD_NODENAME"
echo "export OMPI_MCA_btl=self,tcp"
echo "export OMPI_MCA_btl_tcp_if_include=lo"
echo "export OMPI_MCA_osc=pt2pt"
END
  chmod +x "$folder/mail" "$folder/prolog"
}

# Start a daemon apart from this shell. The mark finds it again, and what it starts: RETORT_CLUSTER=FOLDER NAME.
daemon() {
  local name=$1
  shift
  RETORT_CLUSTER="$folder $name" PATH=$PATH:/usr/sbin:/sbin setsid "$@" >>"$folder/$name.out" 2>&1 </dev/null &
}

start_node() {
  mkdir -p "$short/spool-$1" "$short/tmp-$1"
  daemon "$1" slurmd -D -N "$1" -f "$folder/slurm.conf"
}

# Wait until a command says yes: await SECONDS COMMAND …
await() {
  local tries=$(($1 * 10))
  shift
  until "$@"; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.1
  done
}

idle() {
  local states
  states=$(SLURM_CONF=$folder/slurm.conf sinfo -h -N -p normal -n "$(IFS=,; echo "$*")" -o %T 2>/dev/null) || return 1
  [ "$(grep -c '^idle$' <<<"$states")" -eq $# ]
}

start() {
  check
  mkdir -p "$folder/state"
  folder=$(cd "$folder" && pwd)
  chmod 755 "$folder"
  # Paths of sockets have at most 107 characters, so these have a short folder of their own.
  short=$(mktemp -d /tmp/retort-slurm-XXXXXX)
  chmod 755 "$short"
  echo "$short" >"$folder/short"
  write_conf
  (umask 077 && head -c 128 /dev/urandom >"$folder/munge.key")
  daemon munge munged --foreground --key-file="$folder/munge.key" --socket="$short/munge.socket" --num-threads=2 \
    --pid-file="$short/munge.pid" --seed-file="$short/munge.seed" --log-file="$short/munge.log" --force
  await 10 test -S "$short/munge.socket" || refuse "munged"
  daemon slurmctld slurmctld -D -i -f "$folder/slurm.conf"
  local name
  for name in "${nodes[@]}"; do start_node "$name"; done
  await 30 idle "${nodes[@]}" || refuse "slurmctld with four slurmd"
}

# The daemons do not come up. Their words are the only hint.
refuse() {
  tail -n 5 "$folder"/*.out "$folder"/*.log "$short"/*.log 2>/dev/null || true
  stop
  echo "cluster.sh: $1 does not start here; the last lines of the logs are above" >&2
  exit 1
}

# Process numbers of the daemons (of one node, or all), of the slurmstepd that they started, which write over their
# environment but hold the node's log open, and of all that these started.
marked() {
  local process pid parent all=() found=1
  for process in /proc/[0-9]*; do
    if grep -qzE "^RETORT_CLUSTER=$folder ${1:-}" "$process/environ" 2>/dev/null; then
      all+=("${process#/proc/}")
    elif [ "$(cat "$process/comm" 2>/dev/null)" = slurmstepd ] &&
      find "$process/fd" -lname "$folder/slurmd-${1:-*}.log*" 2>/dev/null | grep -q .; then
      all+=("${process#/proc/}")
    fi
  done
  while [ $found -eq 1 ] && [ ${#all[@]} -gt 0 ]; do
    found=0
    while read -r pid parent; do
      if [[ " ${all[*]} " == *" $parent "* && " ${all[*]} " != *" $pid "* ]]; then
        all+=("$pid")
        found=1
      fi
    done < <(ps -e -o pid=,ppid=)
  done
  echo "${all[@]}"
}

# Kill what carries a mark, until nothing is left.
kill_marked() {
  local pids tries
  for tries in 1 2 3 4 5; do
    read -ra pids < <(marked "${1:-}")
    [ ${#pids[@]} -gt 0 ] || return 0
    kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.1
  done
  echo "cluster.sh: some processes do not end: ${pids[*]}" >&2
  return 1
}

stop() {
  folder=$(cd "$folder" 2>/dev/null && pwd) || return 0
  kill_marked
  local short
  if short=$(cat "$folder/short" 2>/dev/null); then rm -rf "$short"; fi
}

case $action in
  start) start ;;
  stop) stop ;;
  kill)
    folder=$(cd "$folder" && pwd)
    kill_marked "$3"
    ;;
  revive)
    folder=$(cd "$folder" && pwd)
    short=$(cat "$folder/short")
    rm -rf "$short/spool-$3" "$short/tmp-$3" # as if it had started anew
    start_node "$3"
    await 30 idle "$3"
    ;;
  *)
    echo "usage: cluster.sh start|stop FOLDER, cluster.sh kill|revive FOLDER NODE" >&2
    exit 2
    ;;
esac
