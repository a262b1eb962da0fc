#include "distill/terms.h"

#include <stdio.h>
#include <string.h>

void rt_terms_start(const char *name, const RtLoss *loss, RtTerm *term)
{
  *term = (RtTerm){.loss = loss,
                   .weight = 1,
                   .weight_last = 1,
                   .temperature = 1,
                   .temperature_last = 1,
                   .reference = loss->traits & RT_LOSS_TEACHER ? RT_TERMS_TEACHER : RT_TERMS_NOTHING,
                   .student = "logits",
                   .teacher = "logits"};
  snprintf(term->name, sizeof(term->name), "%s", name);
  for (int i = 0; loss->option[i].name; i++) term->option[i] = loss->option[i].initial;
}

/* The next term of the list, with a weight that stays. */
static RtTerm *add(RtTerms *terms, const char *name, const RtLoss *loss, double weight)
{
  RtTerm *term = &terms->term[terms->count++];

  rt_terms_start(name, loss, term);
  term->weight = term->weight_last = weight;
  return term;
}

void rt_terms_short(const RtLoss *loss, double temperature, double alpha, double smoothing, RtTerms *terms)
{
  const bool numbers = loss->traits & RT_LOSS_NUMBERS;

  terms->count = 0;
  if (alpha > 0) {
    RtTerm *soft = add(terms, "soft", loss, alpha);

    soft->temperature = soft->temperature_last = temperature;
  }
  if (alpha < 1) {
    RtTerm *hard = add(terms, "hard", numbers ? loss : &rt_loss_ce, 1 - alpha);

    if (numbers)
      hard->reference = RT_TERMS_TARGET;
    else
      hard->option[0] = smoothing;
  }
}

void rt_terms_now(const RtTerm *term, int64_t step, int64_t total, int64_t epoch, double *weight, double *temperature)
{
  const double part = total > 1 ? (double)step / (double)(total - 1) : 0, ramp = term->warmup * (double)epoch;

  *weight = term->weight;
  *temperature = term->temperature;
  if (term->weight_last != term->weight) *weight += part * (term->weight_last - term->weight);
  if (term->temperature_last != term->temperature) *temperature += part * (term->temperature_last - term->temperature);
  if ((double)(step + 1) < ramp) *weight *= (double)(step + 1) / ramp;
}

PetscErrorCode rt_terms_check_widths(const RtTerm *term, int64_t student, int64_t teacher)
{
  PetscFunctionBegin;
  RtCheck(student == teacher || term->loss->traits & (RT_LOSS_WIDTHS | RT_LOSS_MAPS),
          "the term '%s' of the objective compares %lld numbers of the student ('%s') with %lld of the teacher ('%s')",
          term->name, (long long)student, term->student, (long long)teacher, term->teacher);
  PetscFunctionReturn(0);
}

int rt_terms_teachers(const RtTerms *terms, const char *name[RT_TERMS])
{
  int count = 0;

  for (int k = 0; k < terms->count; k++) {
    bool listed = terms->term[k].reference != RT_TERMS_TEACHER;

    for (int i = 0; i < count && !listed; i++) listed = !strcmp(name[i], terms->term[k].teacher);
    if (!listed) name[count++] = terms->term[k].teacher;
  }
  return count;
}

int rt_terms_teacher_of(const RtTerms *terms, int term)
{
  const char *name[RT_TERMS];
  int count = rt_terms_teachers(terms, name);

  for (int i = 0; i < count && terms->term[term].reference == RT_TERMS_TEACHER; i++)
    if (!strcmp(name[i], terms->term[term].teacher)) return i;
  return -1;
}

bool rt_terms_meet(const RtTerms *terms)
{
  bool found = false;

  for (int k = 0; k < terms->count; k++) found = found || terms->term[k].loss->meet;
  return found;
}
