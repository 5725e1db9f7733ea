/* SPDX-License-Identifier: MIT */
#include "client/pace.h"

/* What more has to bring, and fewer may cost. */
#define WORTH 1.1

#define MEASURE_US ((gint64) 200 * 1000)
/* A reader's window comes in surges: all its ranges are asked for at about the same time, and end so.  One surge takes
 * three or four round trips, and what is measured has to have several. */
#define MEASURE_TRIPS 16
/* Connections that were just made need some round trips to come up to speed. */
#define SETTLE_US    ((gint64) 100 * 1000)
#define SETTLE_TRIPS 8
/* Between the end of one range and the beginning of the next. */
#define DIP_US ((gint64) 30 * 1000)

#define REST_NEAR_US ((gint64) 500 * 1000)
#define REST_US      ((gint64) 2 * G_USEC_PER_SEC)
#define REST_MAX_US  ((gint64) 60 * G_USEC_PER_SEC)
#define REST_TRIPS   200 /* at least: a trial takes 24, and may cost half the rate */

typedef enum {
  PHASE_REST,   /* until the next trial, bytes coming all the time */
  PHASE_BASE,   /* measures what there is */
  PHASE_CHANGE, /* until as many are under way as are tried */
  PHASE_SETTLE,
  PHASE_TRIAL, /* measures that */
} Phase;

struct CabPace {
  guint most;
  guint limit;
  guint kept;    /* what it is without a trial */
  guint base;    /* what of that was in use when it was measured */
  double rate;   /* bytes in a microsecond, then */
  gboolean up;   /* the direction of the trial, or of the next one */
  gboolean sure; /* a trial was made: how long a first byte takes tells nothing new */
  Phase phase;
  gint64 since_us; /* when it began */
  guint64 since_bytes;
  gint64 dip_us; /* since when fewer are under way than have to be; 0: there are enough */
  gint64 rest_us;
  gint64 trip_us; /* the shortest wait for a first byte; 0: not known */
};

CabPace *cab_pace_new (guint most) {
  CabPace *self = g_new0 (CabPace, 1);
  self->most = MAX (most, 1);
  self->limit = self->kept = self->most;
  self->rest_us = REST_US;
  return self;
}

void cab_pace_free (CabPace *self) {
  g_free (self);
}

guint cab_pace_limit (const CabPace *self) {
  return self->limit;
}

void cab_pace_first_byte (CabPace *self, gint64 wait_us) {
  if (self->trip_us == 0 || wait_us < self->trip_us)
    self->trip_us = MAX (wait_us, 1);
  if (self->sure || wait_us > CAB_PACE_NEAR_US || self->limit <= CAB_PACE_FEW)
    return;
  self->limit = self->kept = CAB_PACE_FEW;
  self->up = TRUE;
  self->rest_us = REST_NEAR_US; /* that so few are enough is a guess */
}

/* --- trials ------------------------------------------------------------------------------------------------- */

static void enter (CabPace *self, Phase phase, gint64 now_us, guint64 bytes) {
  self->phase = phase;
  self->since_us = now_us;
  self->since_bytes = bytes;
  self->dip_us = 0;
}

/* Nothing is tried, or nothing can be said of it. */
static void rest (CabPace *self, gint64 now_us, guint64 bytes) {
  self->limit = self->kept;
  enter (self, PHASE_REST, now_us, bytes);
}

static guint step_from (const CabPace *self, guint connections) {
  return self->up ? MIN (2 * connections, self->most) : MAX (connections / 2, CAB_PACE_LEAST);
}

/* Up makes sense only where all that are allowed are in use. */
static gboolean can_step (const CabPace *self, guint connections) {
  return self->up ? connections == self->kept && connections < self->most : connections > CAB_PACE_LEAST;
}

static void begin_trial (CabPace *self, gint64 now_us, guint64 bytes, guint under_way) {
  self->base = MIN (self->kept, under_way);
  if (!can_step (self, self->base))
    self->up = !self->up;
  if (can_step (self, self->base))
    enter (self, PHASE_BASE, now_us, bytes);
  else
    rest (self, now_us, bytes);
}

static void change (CabPace *self, double rate, gint64 now_us, guint64 bytes) {
  self->sure = TRUE;
  self->rate = rate;
  self->limit = step_from (self, self->base);
  enter (self, PHASE_CHANGE, now_us, bytes);
}

static gint64 rest_us (const CabPace *self) {
  return MAX (self->rest_us, REST_TRIPS * self->trip_us);
}

static void judge (CabPace *self, double rate, gint64 now_us, guint64 bytes) {
  gboolean good = self->up ? rate > self->rate * WORTH : rate * WORTH > self->rate;
  if (good) {
    self->kept = self->base = self->limit;
    self->rest_us = REST_US;
    if (can_step (self, self->base)) {
      change (self, rate, now_us, bytes);
      return;
    }
  } else {
    self->rest_us = MIN (2 * rest_us (self), REST_MAX_US);
  }
  self->up = !self->up;
  rest (self, now_us, bytes);
}

/* --- time --------------------------------------------------------------------------------------------------- */

/* How many have to be under way for the phase to tell anything. */
static guint needed (const CabPace *self) {
  switch (self->phase) {
  case PHASE_BASE:
    return self->base;
  case PHASE_SETTLE:
  case PHASE_TRIAL:
    return self->limit;
  case PHASE_CHANGE:
  case PHASE_REST:
  default:
    return 1;
  }
}

/* TRUE if too few have been under way for too long. */
static gboolean has_sagged (CabPace *self, gint64 now_us, guint under_way) {
  if (under_way >= needed (self))
    self->dip_us = 0;
  else if (self->dip_us == 0)
    self->dip_us = now_us;
  return self->dip_us != 0 && now_us - self->dip_us > DIP_US;
}

static gint64 measure_us (const CabPace *self) {
  return MAX (MEASURE_US, MEASURE_TRIPS * self->trip_us);
}

static gint64 settle_us (const CabPace *self) {
  return MAX (SETTLE_US, SETTLE_TRIPS * self->trip_us);
}

void cab_pace_tick (CabPace *self, gint64 now_us, guint64 bytes, guint under_way) {
  gint64 elapsed_us = now_us - self->since_us;
  double rate = elapsed_us > 0 ? (double) (bytes - self->since_bytes) / (double) elapsed_us : 0;
  if (self->since_us == 0 || has_sagged (self, now_us, under_way)) {
    rest (self, now_us, bytes);
    return;
  }
  switch (self->phase) {
  case PHASE_REST:
    if (elapsed_us >= rest_us (self))
      begin_trial (self, now_us, bytes, under_way);
    break;
  case PHASE_BASE:
    if (elapsed_us >= measure_us (self))
      change (self, rate, now_us, bytes);
    break;
  case PHASE_CHANGE:
    if (self->up ? under_way >= self->limit : under_way <= self->limit)
      enter (self, PHASE_SETTLE, now_us, bytes);
    else if (self->up && elapsed_us >= measure_us (self)) /* there is nothing to be fetched by more */
      rest (self, now_us, bytes);
    break;
  case PHASE_SETTLE:
    if (elapsed_us >= settle_us (self))
      enter (self, PHASE_TRIAL, now_us, bytes);
    break;
  case PHASE_TRIAL:
    if (elapsed_us >= measure_us (self))
      judge (self, rate, now_us, bytes);
    break;
  }
}
