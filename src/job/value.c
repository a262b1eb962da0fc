#include "job/value.h"

#include "core/message.h"
#include "core/size.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static PetscErrorCode parse_number(const RtOption *option, const char *text, double *number)
{
  bool whole = option->type == RT_OPTION_INT || option->type == RT_OPTION_INTS;
  char *end;

  PetscFunctionBegin;
  errno = 0;
  *number = strtod(text, &end);
  while (isspace((unsigned char)*end)) end++;
  if (end == text || *end || !isfinite(*number) || (whole && *number != trunc(*number)))
    RtUsage("-%s: '%s' is not a %snumber", option->name, text, whole ? "whole " : "");
  if (*number < option->least || *number > option->most) {
    char bounds[64]; /* PETSc's own %g would write 1 as "1." */

    snprintf(bounds, sizeof(bounds), option->most >= 9e15 ? "must be at least %g" : "goes from %g to %g", option->least,
             option->most);
    RtUsage("-%s: %s is out of bounds; it %s", option->name, text, bounds);
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_size(const RtOption *option, const char *text, double *bytes)
{
  char least[RT_SIZE_TEXT];
  int64_t size;

  PetscFunctionBegin;
  if (!rt_size_parse(text, &size))
    RtUsage("-%s: '%s' is not a size: give bytes, or a number with K, M, G or T", option->name, text);
  *bytes = (double)size;
  if (*bytes < option->least || *bytes > option->most)
    RtUsage("-%s: %s is out of bounds; it must be at least %s", option->name, text,
            rt_size_text((int64_t)option->least, least));
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_list(const RtOption *option, const char *text, RtValue *value)
{
  char copy[RT_VALUE_TEXT], *word, *next;

  PetscFunctionBegin;
  snprintf(copy, sizeof(copy), "%s", text);
  value->count = 0;
  for (word = copy[0] ? copy : NULL; word; word = next) {
    next = strchr(word, ',');
    if (next) *next++ = 0;
    if (value->count == RT_OPTIONS_LIST) RtUsage("-%s: more than %d numbers", option->name, RT_OPTIONS_LIST);
    PetscCall(parse_number(option, word, &value->number[value->count++]));
  }
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_bool(const RtOption *option, const char *text, double *number)
{
  static const char *const yes[] = {"", "1", "true", "yes", "on"}, *const no[] = {"0", "false", "no", "off"};

  PetscFunctionBegin;
  for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
    if (!strcmp(text, yes[i])) *number = 1;
  for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
    if (!strcmp(text, no[i])) *number = 0;
  if (*number < 0) RtUsage("-%s: '%s' is neither true nor false", option->name, text);
  PetscFunctionReturn(0);
}

static PetscErrorCode parse_choice(const RtOption *option, const char *text)
{
  const char *names = option->choices(), *at = names;
  size_t length = strlen(text);

  PetscFunctionBegin;
  while (at && length && !strchr(text, '|')) {
    if (!strncmp(at, text, length) && (at[length] == '|' || !at[length])) PetscFunctionReturn(0);
    at = strchr(at, '|');
    if (at) at++;
  }
  RtUsage("-%s: '%s' is not one of %s", option->name, text, names);
}

/* The same number always gets the same text and another number another, so that records can be compared: as few digits
   as give the number back. */
static void write_numbers(const RtValue *value, char *text, size_t length)
{
  size_t used = 0;

  text[0] = 0;
  for (int i = 0; i < value->count && used + 32 < length; i++) {
    char number[32];

    for (int digits = 15; digits <= 17; digits++) {
      snprintf(number, sizeof(number), "%.*g", digits, value->number[i]);
      if (strtod(number, NULL) == value->number[i]) break;
    }
    used += (size_t)snprintf(text + used, length - used, "%s%s", i ? "," : "", number);
  }
}

PetscErrorCode rt_value_parse(const RtOption *option, const char *given, RtValue *value)
{
  char text[RT_VALUE_TEXT];

  PetscFunctionBegin;
  snprintf(text, sizeof(text), "%s", given ? given : option->initial);
  value->given = given != NULL;
  value->count = 1;
  value->number[0] = -1;
  switch (option->type) {
  case RT_OPTION_INT:
  case RT_OPTION_REAL:
    PetscCall(parse_number(option, text, &value->number[0]));
    break;
  case RT_OPTION_INTS:
  case RT_OPTION_REALS:
    PetscCall(parse_list(option, text, value));
    break;
  case RT_OPTION_SIZE:
    PetscCall(parse_size(option, text, &value->number[0]));
    break;
  case RT_OPTION_BOOL:
    PetscCall(parse_bool(option, text, &value->number[0]));
    break;
  case RT_OPTION_CHOICE:
    PetscCall(parse_choice(option, text));
    break;
  default:
    break;
  }
  if (option->type == RT_OPTION_BOOL)
    snprintf(text, sizeof(text), "%s", value->number[0] ? "true" : "false");
  else if (option->type != RT_OPTION_TEXT && option->type != RT_OPTION_CHOICE)
    write_numbers(value, text, sizeof(text));
  PetscCall(PetscStrallocpy(text, &value->text));
  PetscFunctionReturn(0);
}
