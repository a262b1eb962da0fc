/* The meeting of all lanes between forward and backward, for terms whose loss couples the rows of the global batch:
   rows of their taps are gathered in the order of lanes, and each rank evaluates its own against all. The same bits on
   any number of ranks and threads. */
#ifndef RT_TRAIN_MEETING_H
#define RT_TRAIN_MEETING_H

#include "train/objective.h"

typedef struct RtMeeting RtMeeting;

typedef struct {
  MPI_Comm comm;
  const RtObjective *objective;
  int lanes, threads;
  int64_t rows; /* of a lane */
} RtMeetingParams;

/* Collective. */
PetscErrorCode rt_meeting_create(const RtMeetingParams *params, RtMeeting **meeting);
/* Accepts NULL. */
PetscErrorCode rt_meeting_destroy(RtMeeting **meeting);
/* What it holds, in bytes. */
int64_t rt_meeting_bytes(const RtMeeting *meeting);

/* Any thread, for own lanes: keep the rows of a lane whose forward pass is done. rows->teacher as there. */
void rt_meeting_bring(RtMeeting *meeting, int lane, const RtObjectiveRows *rows);
/* Collective, outside of threads: gather and evaluate. now: step, total and epoch are read. */
PetscErrorCode rt_meeting_hold(RtMeeting *meeting, const RtObjectiveRows *now);
/* Any thread: what came out for a lane, until the next meeting. */
RtObjectiveMet rt_meeting_met(const RtMeeting *meeting, int lane);

/* Not collective. The same for rows that are a batch of their own, such as a held-out micro-batch, by one thread; rows
   without padding, up to so many. What came out is in `met`, until the next ones. */
typedef struct {
  RtObjectiveMet met;
  double *room;
} RtMeetingAlone;
PetscErrorCode rt_meeting_alone_create(const RtObjective *objective, int64_t rows, RtMeetingAlone *alone);
PetscErrorCode rt_meeting_alone_destroy(RtMeetingAlone *alone);
PetscErrorCode rt_meeting_alone(const RtObjective *objective, const RtObjectiveRows *rows, RtMeetingAlone *alone);

#endif
