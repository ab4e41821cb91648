// Drives the sandbox through the official npm client by the calls that an adapter makes; exits 0 when all hold.
'use strict';

const assert = require('node:assert/strict');
const v1 = require('pipedrive/v1');
const v2 = require('pipedrive/v2');

const [url, apiKey, receiver] = process.argv.slice(2);
const one = new v1.Configuration({ apiKey, basePath: `${url}/v1` });
const two = new v2.Configuration({ apiKey, basePath: `${url}/api/v2` });

async function refused(promise, code) {
  const body = await promise.then(() => null, (reason) => reason); // the client rejects with the error's body
  assert.equal(body?.code, code);
}

async function definitions() {
  const api = new v2.PersonFieldsApi(two);
  const fields = (await api.getPersonFields({ limit: 500 })).data;
  assert.ok(fields.some((field) => field.field_code === 'name'));
  const made = (await api.addPersonField({
    AddPersonFieldRequest: { field_name: 'Colour', field_type: 'enum', options: [{ label: 'Red' }, { label: 'Grün' }] },
  })).data;
  assert.equal(made.field_code.length, 40);
  const added = await api.addPersonFieldOptions({
    field_code: made.field_code,
    AddDealFieldOptionsRequestInner: [{ label: 'Blue' }],
  });
  assert.deepEqual(added.data.map((option) => option.label), ['Blue']);
  await api.updatePersonField({ field_code: made.field_code, UpdatePersonFieldRequest: { field_name: 'Color' } });
  assert.equal((await api.getPersonField({ field_code: made.field_code })).data.field_name, 'Color');
  return made;
}

async function contacts(field) {
  const persons = new v2.PersonsApi(two);
  const organizations = new v2.OrganizationsApi(two);
  const org = (await organizations.addOrganization({
    AddOrganizationRequest: { name: 'Łódź Żubr', address: { value: 'Piotrkowska 1, Łódź', country: 'Poland' } },
  })).data;
  const person = (await persons.addPerson({
    AddPersonRequest: {
      name: 'Zoë Núñez',
      org_id: org.id,
      emails: [{ value: 'zoe@zubr.test', primary: true, label: 'work' }],
      custom_fields: { [field.field_code]: field.options[0].id },
    },
  })).data;
  assert.deepEqual([person.first_name, person.last_name, person.org_id], ['Zoë', 'Núñez', org.id]);
  const changed = await persons.updatePerson({ id: person.id, UpdatePersonRequest: { phones: [{ value: '+48 1' }] } });
  assert.equal(changed.data.phones[0].primary, true);
  await refused(persons.updatePerson({ id: person.id, UpdatePersonRequest: { nonsense: 1 } }), 'ERR_SCHEMA_VALIDATION_FAILED');
  const byIds = await persons.getPersons({ ids: `${person.id},999999`, include_option_labels: true });
  assert.equal(byIds.data[0].custom_fields[field.field_code].label, 'Red');
  const since = await persons.getPersons({ updated_since: person.update_time, sort_by: 'update_time' });
  assert.ok(since.data.some((each) => each.id === person.id));
  await organizations.updateOrganization({ id: org.id, UpdateOrganizationRequest: { website: 'https://zubr.test' } });
  assert.equal((await organizations.getOrganization({ id: org.id })).data.website, 'https://zubr.test');
  return { org, person };
}

async function walk() {
  const api = new v2.PersonsApi(two);
  const seen = [];
  let cursor;
  do {
    const page = await api.getPersons({ limit: 5, cursor });
    seen.push(...page.data.map((person) => person.id));
    cursor = page.additional_data.next_cursor;
  } while (cursor);
  assert.equal(new Set(seen).size, seen.length);
  return seen.length;
}

async function sales({ org, person }) {
  const pipelines = (await new v2.PipelinesApi(two).getPipelines()).data;
  const stages = (await new v2.StagesApi(two).getStages({ pipeline_id: pipelines[0].id })).data;
  const deals = new v2.DealsApi(two);
  const deal = (await deals.addDeal({
    AddDealRequest: { title: 'Roof', value: 12.5, currency: 'EUR', person_id: person.id, org_id: org.id },
  })).data;
  const moved = await deals.updateDeal({ id: deal.id, UpdateDealRequest: { stage_id: stages[1].id, status: 'won' } });
  assert.deepEqual([moved.data.stage_id, moved.data.status], [stages[1].id, 'won']);
  await deals.updateDeal({ id: deal.id, UpdateDealRequest: { is_archived: true } });
  assert.equal((await deals.getArchivedDeals()).data[0].id, deal.id);
  const activities = new v2.ActivitiesApi(two);
  const call = (await activities.addActivity({
    AddActivityRequest: {
      subject: 'Call', type: 'call', due_date: '2026-11-02', due_time: '09:15', done: true,
      participants: [{ person_id: person.id, primary: true }], note: 'x <b>y</b>',
    },
  })).data;
  assert.deepEqual([call.person_id, call.due_time], [person.id, '09:15:00']);
  await activities.updateActivity({ id: call.id, UpdateActivityRequest: { duration: '00:12' } });
  await activities.deleteActivity({ id: call.id });
  assert.equal((await activities.getActivity({ id: call.id })).data.is_deleted, true);
}

async function older({ person }) {
  const notes = new v1.NotesApi(one);
  const note = (await notes.addNote({ AddNoteRequest: { content: '<b>hi</b>', person_id: person.id } })).data;
  await notes.updateNote({ id: note.id, NoteRequest: { content: 'ho' } });
  assert.equal((await notes.getNotes({ person_id: person.id, sort: 'update_time DESC' })).data[0].content, 'ho');
  await notes.deleteNote({ id: note.id });
  assert.equal((await notes.getNote({ id: note.id })).data.active_flag, false);
  const users = new v1.UsersApi(one);
  assert.equal((await users.getCurrentUser()).data.company_domain, 'acme-sandbox');
  assert.ok((await users.getUsers()).data.length > 1);
  assert.ok((await new v1.ActivityTypesApi(one).getActivityTypes()).data.length > 1);
  assert.ok((await new v1.CurrenciesApi(one).getCurrencies({})).data.length > 1);
  const persons = new v1.PersonsApi(one);
  assert.equal((await persons.getPersonChangelog({ id: person.id })).data[0].field_key, 'phones');
  const other = (await new v2.PersonsApi(two).addPerson({ AddPersonRequest: { name: 'Other' } })).data;
  const merged = await persons.mergePersons({ id: person.id, MergePersonsRequest: { merge_with_id: other.id } });
  assert.equal(merged.data.id, other.id);
  await new v2.PersonsApi(two).deletePerson({ id: other.id });
  await refused(new v2.PersonsApi(two).getPerson({ id: 999999 }), 'ERR_NOT_FOUND');
}

async function hooks() {
  const api = new v1.WebhooksApi(one);
  const made = (await api.addWebhook({
    AddWebhookRequest: {
      subscription_url: receiver, event_action: '*', event_object: '*', name: 'n', version: '2.0',
      http_auth_user: 'u', http_auth_password: 'p',
    },
  })).data;
  assert.equal((await api.getWebhooks()).data.length, 1);
  await api.deleteWebhook({ id: made.id });
  assert.equal((await api.getWebhooks()).data.length, 0);
}

async function main() {
  const field = await definitions();
  const made = await contacts(field);
  const people = await walk();
  await sales(made);
  await older(made);
  await hooks();
  console.log(JSON.stringify({ people }));
}

main().catch((error) => {
  console.error(error.stack ?? JSON.stringify(error));
  process.exit(1);
});
