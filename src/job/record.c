#include "job/record.h"

#include "job/pattern.h"

#include <stdio.h>
#include <string.h>

static const char *next_line(const char *line)
{
  const char *end = strchr(line, '\n');

  return end ? end + 1 : NULL;
}

/* The value in the line of `record` that begins with name=, NULL where there is none. */
static const char *look_up(const char *record, const char *name, size_t length)
{
  for (const char *line = record; line && *line; line = next_line(line))
    if (!strncmp(line, name, length) && line[length] == '=') return line + length + 1;
  return NULL;
}

static bool has_line(const char *record, const char *begin, size_t length)
{
  for (const char *line = record; line && *line; line = next_line(line))
    if (!strncmp(line, begin, length)) return true;
  return false;
}

/* The default of an option that `before` lacks, NULL where it has none. */
static const char *look_up_default(const char *defaults, const char *before, const char *name, size_t length)
{
  const char *value = look_up(defaults, name, length), *thing;
  char word[RT_PATTERN_WORD], row[RT_PATTERN_WORD];
  size_t thing_length;

  if (value || length >= sizeof(word)) return value;
  snprintf(word, sizeof(word), "%.*s", (int)length, name);
  for (const char *line = defaults; line && *line; line = next_line(line)) {
    snprintf(row, sizeof(row), "%.*s", (int)strcspn(line, "="), line);
    if (!rt_pattern_is(row) || !rt_pattern_find(row, word, &thing, &thing_length) ||
        !rt_pattern_allows(thing, thing_length))
      continue;
    if (!has_line(before, word, (size_t)(thing - word) + thing_length + 1)) return NULL;
    return line + strlen(row) + 1;
  }
  return NULL;
}

static bool equal(const char *a, const char *b)
{
  size_t length = a ? strcspn(a, "\n") : 0;

  return a && b && strcspn(b, "\n") == length && !memcmp(a, b, length);
}

static void copy(char text[96], const char *value)
{
  snprintf(text, 96, "%.*s", value ? (int)strcspn(value, "\n") : 0, value ? value : "");
}

bool rt_record_differ(const char *before, const char *now, const char *defaults, char name[64], char old_value[96],
                      char new_value[96])
{
  const char *record[2] = {now, before};

  for (int k = 0; k < 2; k++)
    for (const char *line = record[k]; line && *line; line = next_line(line)) {
      size_t length = strcspn(line, "=\n");
      const char *was = look_up(before, line, length), *is = look_up(now, line, length);

      if (!was) was = look_up_default(defaults, before, line, length);
      if (equal(was, is)) continue;
      snprintf(name, 64, "%.*s", (int)PetscMin(length, 63), line);
      copy(old_value, was);
      copy(new_value, is);
      return true;
    }
  return false;
}
