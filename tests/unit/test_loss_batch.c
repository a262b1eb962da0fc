/* Losses that couple the rows of a batch: "rkd" as it stands in the paper, in long double, and gradients against finite
   differences; a batch cut over ranks and threads to the bit; rows that are equal, and batches too small for pairs or
   triples. PyTorch's values: tests/conformance/test_losses.py. */
#include "test.h"

#include "core/random.h"
#include "distill/loss.h"

#include <math.h>
#include <string.h>

enum { ROWS = 9, MOST = 20, CALLS = 8 };

typedef struct {
  RtLossBatch batch;
  float student[ROWS * MOST], teacher[ROWS * MOST];
  double option[RT_LOSS_OPTIONS], value[ROWS], gradient[ROWS * MOST];
} Data;

/* All rows are here. */
static PetscErrorCode keep(void *context, int count, double *value)
{
  (void)context, (void)count, (void)value;
  return 0;
}

static void draw(Data *d, int rows, int width, int teacher_width, double distance, double angle)
{
  uint32_t key[2];

  memset(d, 0, sizeof(*d));
  rt_random_key(5, RT_RANDOM_INIT, key);
  rt_random_normal(key, 0, ROWS * MOST, d->student);
  rt_random_normal(key, 1, ROWS * MOST, d->teacher);
  d->option[0] = distance;
  d->option[1] = angle;
  d->batch = (RtLossBatch){.rows = rows,
                           .own = rows,
                           .width = width,
                           .teacher_width = teacher_width,
                           .student = d->student,
                           .teacher = d->teacher,
                           .weight = 0.7,
                           .temperature = 1,
                           .option = d->option,
                           .threads = 1,
                           .share = keep};
}

/* In a room in which no number stands, and of no more than is asked for. */
static PetscErrorCode meet_in_room(RtLossBatch *batch, double *value, double *gradient)
{
  const RtLoss *loss = rt_loss_find("rkd");
  const int64_t count = loss->room(batch);
  PetscErrorCode error;

  PetscFunctionBegin;
  PetscCall(PetscMalloc1(count, &batch->room));
  for (int64_t i = 0; i < count; i++) batch->room[i] = NAN;
  error = loss->meet(batch, value, gradient);
  PetscCall(PetscFree(batch->room));
  PetscCall(error);
  PetscFunctionReturn(0);
}

static PetscErrorCode meet(Data *d)
{
  for (int i = 0; i < ROWS; i++) d->value[i] = NAN;
  for (int i = 0; i < ROWS * MOST; i++) d->gradient[i] = NAN;
  return meet_in_room(&d->batch, d->value, d->gradient);
}

static double total(const Data *d)
{
  double sum = 0;

  for (int r = 0; r < d->batch.rows; r++) sum += d->value[r];
  return sum;
}

/* --- the paper ---------------------------------------------------------------------------------------------------- */

static long double huber(long double x)
{
  return fabsl(x) < 1 ? x * x / 2 : fabsl(x) - 0.5L;
}

static long double product(int width, const long double *a, const long double *b, const long double *c)
{
  long double sum = 0;

  for (int k = 0; k < width; k++) sum += (b[k] - a[k]) * (c[k] - a[k]);
  return sum;
}

/* Distances in units of their mean over pairs; that of two equal rows is 1e-6 as in the authors' code. */
static void distances(int rows, int width, const long double *x, long double out[ROWS][ROWS])
{
  long double mean = 0;

  for (int a = 0; a < rows; a++)
    for (int b = 0; b < rows; b++) {
      const long double *at = x + a * width, *to = x + b * width;

      out[a][b] = a == b ? 0 : sqrtl(fmaxl(product(width, at, to, to), 1e-12L));
      mean += out[a][b] / (rows * (rows - 1));
    }
  for (int a = 0; a < rows; a++)
    for (int b = 0; b < rows; b++) out[a][b] /= mean;
}

/* Of the angle at a between b and c; 0 where one of them is a. */
static long double cosine(int width, const long double *x, int a, int b, int c)
{
  const long double *at = x + a * width, *to = x + b * width, *too = x + c * width;
  const long double one = product(width, at, to, to), two = product(width, at, too, too);

  return one > 0 && two > 0 ? product(width, at, to, too) / sqrtl(one * two) : 0;
}

static long double formula(const Data *d, const long double *z)
{
  const int B = (int)d->batch.rows, width = d->batch.width, teacher_width = d->batch.teacher_width;
  long double t[ROWS * MOST] = {0}, of_z[ROWS][ROWS], of_t[ROWS][ROWS], pairs = 0, triples = 0;

  for (int i = 0; i < B * teacher_width; i++) t[i] = d->teacher[i];
  distances(B, width, z, of_z);
  distances(B, teacher_width, t, of_t);
  for (int a = 0; a < B; a++)
    for (int b = 0; b < B; b++) {
      pairs += huber(of_z[a][b] - of_t[a][b]);
      for (int c = 0; c < B; c++) triples += huber(cosine(width, z, a, b, c) - cosine(teacher_width, t, a, b, c));
    }
  return d->option[0] * pairs / (B * B) + d->option[1] * triples / (B * B * B);
}

static long double formula_here(const Data *d)
{
  long double z[ROWS * MOST];

  for (int i = 0; i < d->batch.rows * d->batch.width; i++) z[i] = d->student[i];
  return formula(d, z);
}

/* The mean of the shares is the loss; the gradient is of their sum. */
static void check_value(const Data *d, const char *what)
{
  const long double is = total(d) / (double)d->batch.rows, expected = formula_here(d);

  RT_TEST_CHECK(fabsl(is - expected) <= 1e-12L * fabsl(expected), "%s: %.17Lg, not %.17Lg", what, is, expected);
}

static PetscErrorCode test_values(int rows, int width, int teacher_width, double distance, double angle)
{
  static Data d;
  const long double h = 1e-5L;
  long double z[ROWS * MOST];

  PetscFunctionBegin;
  draw(&d, rows, width, teacher_width, distance, angle);
  PetscCall(meet(&d));
  check_value(&d, "rkd");
  for (int i = 0; i < rows * width; i++) z[i] = d.student[i];
  for (int i = 0; i < rows * width; i++) {
    const long double was = z[i];
    long double up, down, slope;

    z[i] = was + h;
    up = formula(&d, z);
    z[i] = was - h;
    down = formula(&d, z);
    z[i] = was;
    slope = d.batch.weight * rows * (up - down) / (2 * h);
    RT_TEST_CHECK(fabsl(d.gradient[i] - slope) <= 1e-7L * fabsl(slope) + 1e-7L,
                  "%d rows, %d and %d wide, distance %g, angle %g [%d]: %.12g, not %.12Lg", rows, width, teacher_width,
                  distance, angle, i, d.gradient[i], slope);
  }
  PetscFunctionReturn(0);
}

/* --- ranks -------------------------------------------------------------------------------------------------------- */

/* What ranks share, without ranks: each is run after the other, again and again, until what they give each other no
   longer changes. */
typedef struct {
  double given[CALLS][ROWS];
  int64_t first, own;
  int call;
  bool changed;
} Board;

static PetscErrorCode share(void *context, int count, double *value)
{
  Board *b = context;
  double *given = b->given[b->call++];

  RT_TEST_CHECK(count == 1 && b->call <= CALLS, "%d numbers of a row, in call %d", count, b->call);
  for (int64_t r = b->first; r < b->first + b->own; r++) {
    b->changed = b->changed || memcmp(&given[r], &value[r], sizeof(*value)) != 0;
    given[r] = value[r];
  }
  memcpy(value, given, ROWS * sizeof(*value));
  return 0;
}

/* The batch over ranks whose parts end at `end`, with so many threads. */
static PetscErrorCode meet_in_parts(Data *d, int ranks, const int64_t *end, int threads)
{
  Board board = {.changed = true};

  PetscFunctionBegin;
  for (int pass = 0; board.changed; pass++) {
    RT_TEST_CHECK(pass <= CALLS, "what ranks give each other does not settle");
    if (pass > CALLS) break;
    board.changed = false;
    for (int r = 0; r < ranks; r++) {
      RtLossBatch part = d->batch;

      board.first = part.first = r ? end[r - 1] : 0;
      board.own = part.own = end[r] - part.first;
      board.call = 0;
      part.threads = threads;
      part.share = share;
      part.context = &board;
      PetscCall(meet_in_room(&part, d->value + part.first, d->gradient + part.first * part.width));
    }
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode test_ranks(double distance, double angle)
{
  static const int64_t end[][4] = {{3, 3, 4, ROWS}, {0, 1, 8, ROWS}, {5, ROWS, ROWS, ROWS}};
  static Data whole, parts;

  PetscFunctionBegin;
  draw(&whole, ROWS, 17, 6, distance, angle);
  PetscCall(meet(&whole));
  for (int cut = 0; cut < 3; cut++)
    for (int threads = 1; threads <= 3; threads++) {
      draw(&parts, ROWS, 17, 6, distance, angle);
      PetscCall(meet_in_parts(&parts, 4, end[cut], threads));
      RT_TEST_CHECK(!memcmp(parts.value, whole.value, sizeof(whole.value)), "cut %d, %d threads: values differ", cut,
                    threads);
      RT_TEST_CHECK(!memcmp(parts.gradient, whole.gradient, ROWS * 17 * sizeof(double)),
                    "cut %d, %d threads: gradients differ", cut, threads);
    }
  PetscFunctionReturn(0);
}

/* Parts that know nothing of each other are another loss: relations across them are left out. */
static PetscErrorCode test_not_a_sum(double distance, double angle)
{
  static Data whole, part;
  double sum = 0;

  PetscFunctionBegin;
  draw(&whole, ROWS, 5, 7, distance, angle);
  PetscCall(meet(&whole));
  for (int first = 0; first < ROWS; first += 5) {
    draw(&part, ROWS - first < 5 ? ROWS - first : 5, 5, 7, distance, angle);
    part.batch.student += first * 5;
    part.batch.teacher += first * 7;
    PetscCall(meet(&part));
    sum += total(&part);
  }
  RT_TEST_CHECK(fabs(sum - total(&whole)) > 0.01 * total(&whole), "parts alone %g, together %g", sum, total(&whole));
  PetscFunctionReturn(0);
}

/* --- rows that are equal, and few rows -------------------------------------------------------------------------------
 */

/* Largest of the gradient; infinite where any of it is not finite. */
static double largest(const Data *d)
{
  double most = 0;

  for (int i = 0; i < d->batch.rows * d->batch.width; i++)
    most = isfinite(d->gradient[i]) ? fmax(most, fabs(d->gradient[i])) : INFINITY;
  return most;
}

/* Rows 1, 4 and 5 become row 1 in `student` and `teacher` as these say. A pair of equal rows pulls nowhere, where
   PyTorch's normalize gives 1e12 times an angle's slope. */
static PetscErrorCode test_equal(bool student, bool teacher)
{
  static Data d;

  PetscFunctionBegin;
  draw(&d, ROWS, 5, 5, 25, 50);
  for (int r = 4; r < 6; r++) {
    if (student) memcpy(d.student + r * 5, d.student + 5, 5 * sizeof(float));
    if (teacher) memcpy(d.teacher + r * 5, d.teacher + 5, 5 * sizeof(float));
  }
  PetscCall(meet(&d));
  check_value(&d, "equal rows");
  RT_TEST_CHECK(largest(&d) > 1e-3 && largest(&d) < 1e4, "student %d, teacher %d: gradient up to %g", student, teacher,
                largest(&d));
  if (student && teacher)
    for (int k = 0; k < 5; k++)
      RT_TEST_CHECK(fabs(d.gradient[5 + k] - d.gradient[20 + k]) < 1e-12 * largest(&d), "equal rows part at %d", k);
  PetscFunctionReturn(0);
}

/* Rows nearer than 1e-6 count as equal in distances: in one dimension, 0, 5e-7 and 2. */
static PetscErrorCode test_near(void)
{
  static Data d;
  double apart[2];

  PetscFunctionBegin;
  for (int k = 0; k < 2; k++) {
    draw(&d, 3, 1, 1, 25, 0);
    memcpy(d.student, (float[]){0, k ? 5e-7f : 0, 2}, 3 * sizeof(float));
    PetscCall(meet(&d));
    check_value(&d, "near rows");
    apart[k] = d.gradient[0] - d.gradient[1];
  }
  RT_TEST_CHECK(fabs(apart[0]) < 1e3 && fabs(apart[1] - apart[0]) < 1e-2 * fmax(1, fabs(apart[0])), "%g and %g",
                apart[0], apart[1]);
  PetscFunctionReturn(0);
}

static PetscErrorCode test_all_equal(bool student, bool teacher)
{
  static Data d;

  PetscFunctionBegin;
  draw(&d, ROWS, 5, 5, 25, 50);
  for (int r = 1; r < ROWS; r++) {
    if (student) memcpy(d.student + r * 5, d.student, 5 * sizeof(float));
    if (teacher) memcpy(d.teacher + r * 5, d.teacher, 5 * sizeof(float));
  }
  PetscCall(meet(&d));
  check_value(&d, "all rows equal");
  RT_TEST_CHECK(student ? largest(&d) == 0 : largest(&d) > 0 && largest(&d) < 1e4, "student %d, teacher %d: %g",
                student, teacher, largest(&d));
  RT_TEST_CHECK((total(&d) == 0) == (student && teacher), "student %d, teacher %d: %g", student, teacher, total(&d));
  PetscFunctionReturn(0);
}

/* One row has no relation; two have one distance, which is its own unit, and no angle. */
static PetscErrorCode test_few(void)
{
  static Data d;

  PetscFunctionBegin;
  for (int rows = 0; rows <= 2; rows++) {
    draw(&d, rows, 5, 7, 25, 50);
    PetscCall(meet(&d));
    RT_TEST_CHECK(total(&d) == 0 && largest(&d) == 0, "%d rows: %g, gradient %g", rows, total(&d), largest(&d));
  }
  memcpy(d.student + 5, d.student, 5 * sizeof(float));
  PetscCall(meet(&d));
  RT_TEST_CHECK(total(&d) == 0 && largest(&d) == 0, "two equal rows: %g, gradient %g", total(&d), largest(&d));
  PetscFunctionReturn(0);
}

/* A number that is not finite must be seen in the value, by which training stops; large ones are no trouble. */
static PetscErrorCode test_large(double distance, double angle)
{
  static Data d;

  PetscFunctionBegin;
  for (int kind = 0; kind < 3; kind++) {
    draw(&d, ROWS, 5, 7, distance, angle);
    for (int i = 0; i < ROWS * MOST; i++) d.student[i] *= 1e15f;
    if (kind == 1) d.student[7] = NAN;
    if (kind == 2) d.student[7] = INFINITY;
    PetscCall(meet(&d));
    if (!kind) check_value(&d, "large numbers");
    RT_TEST_CHECK(isfinite(total(&d)) == !kind && isfinite(largest(&d)) == !kind, "distance %g, angle %g, %d: %g",
                  distance, angle, kind, total(&d));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode test(int argc, char **argv)
{
  static const double option[][2] = {{25, 50}, {1, 0}, {0, 2}};
  const RtLoss *loss;

  PetscFunctionBegin;
  (void)argc;
  (void)argv;
  for (int i = 0; (loss = rt_loss_at(i)); i++)
    RT_TEST_CHECK(!loss->meet || !strcmp(loss->name, "rkd"), "the loss %s has no case here", loss->name);
  for (int k = 0; k < 3; k++) {
    PetscCall(test_values(ROWS, 5, 5, option[k][0], option[k][1]));
    PetscCall(test_values(ROWS, 17, 3, option[k][0], option[k][1]));
    PetscCall(test_values(3, 2, MOST, option[k][0], option[k][1]));
    PetscCall(test_ranks(option[k][0], option[k][1]));
    PetscCall(test_not_a_sum(option[k][0], option[k][1]));
    PetscCall(test_large(option[k][0], option[k][1]));
  }
  for (int k = 0; k < 4; k++) {
    PetscCall(test_equal(k & 1, k & 2));
    PetscCall(test_all_equal(k & 1, k & 2));
  }
  PetscCall(test_near());
  PetscCall(test_few());
  PetscFunctionReturn(0);
}
RT_TEST_MAIN(test)
