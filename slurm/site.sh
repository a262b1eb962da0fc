# shellcheck shell=bash disable=SC2034
# What is particular to your cluster, in one place. Copy the folder slurm/ to where you submit jobs from, and change this
# file; the other scripts read it, on the login node and in the jobs.

# The program. As it stands: what the environment names, or build/retort beside this folder, or retort of the PATH.
RETORT=${RETORT:-}

# Modules and variables that the program needs.
#module load openmpi petsc netcdf

# Where jobs go. sbatch itself reads these variables; remove the # from those that your site wants.
#export SBATCH_ACCOUNT=my-project
#export SBATCH_PARTITION=batch
#export SBATCH_QOS=normal
#export SBATCH_CONSTRAINT=icelake

# How ranks are started. srun needs a Slurm with PMIx (`srun --mpi=list` names it); a rank that dies ends the others after
# a minute. mpirun works everywhere, but when the job is preempted it ends at once, and what came after the last
# checkpoint is computed again.
launcher=(srun --mpi=pmix --cpu-bind=cores --wait=60 --kill-on-bad-exit=0)
#launcher=(mpirun --map-by "slot:PE=${SLURM_CPUS_PER_TASK:-1}")
# With the mixture of algorithms that Slurm 22.05 takes by itself, some starts on busy nodes crash in MPI_Init.
export SLURM_PMIX_FENCE=tree

# What each stage gets, as options of sbatch. Results are the same bits on any number of ranks and threads, so take what
# the queue gives soonest. On two sockets of 16 cores, for example,
#   one rank a core:                    --ntasks-per-node=32 --cpus-per-task=1
#   one rank a socket, with threads:    --ntasks-per-node=2 --cpus-per-task=16
# A training stage needs as many lanes (teacher_lanes, distill_lanes) as ranks.
train_resources=(--nodes=4 --ntasks-per-node=2 --cpus-per-task=1 --time=04:00:00)
label_resources=(--nodes=4 --ntasks-per-node=2 --cpus-per-task=1 --time=04:00:00)
distill_resources=(--nodes=4 --ntasks-per-node=2 --cpus-per-task=1 --time=04:00:00)
eval_resources=(--nodes=1 --ntasks=1 --cpus-per-task=1 --time=00:30:00)
report_resources=(--nodes=1 --ntasks=1 --cpus-per-task=1 --time=00:30:00)

# Label by a job array instead of one job: several smaller jobs fill one store. Each gets label_resources.
#label_array=0-2

# Who gets a mail when a job fails, is queued again, or the pipeline ends.
#mail=you@example.org

# So many seconds before the time limit a job is told to write a checkpoint, and is queued again. Longer than a step of
# training, a shard of labels, and the writing of a checkpoint take together.
stop_seconds=120

# So often a job is started without getting further before it is given up.
tries=5

# For the report: a Python with xarray, netCDF4 and matplotlib; and Retort's folder analysis/, beside this one if not named.
python=python3
#analysis=/opt/retort/share/retort/analysis
