vim9script
# The language server's process, the documents that it knows, and what it asks for.

import autoload 'cloister.vim' as plugin
import autoload 'cloister/edits.vim'

# Longer documents are not sent.
const LINES_MAX = 100000

var job: job
var isReady = false
var failed = ''
# What waits until the server is ready.
var waiting: list<func> = []
# Of each document that the server knows: its lines as they were sent, and its version.
var documents: dict<dict<any>> = {}

export def IsAttached(bufnr: number): bool
  return documents->has_key(bufnr)
enddef

# Files are attached, and nothing else: no terminal, no help, no list.
export def Attach(bufnr: number)
  if documents->has_key(bufnr) || !bufexists(bufnr) || getbufvar(bufnr, '&buftype') != '' || bufname(bufnr) == ''
    return
  endif
  const languages = get(g:, 'cloister_filetypes', [])
  const language: string = getbufvar(bufnr, '&filetype')
  if language == '' || !languages->empty() && languages->index(language) < 0
    return
  endif
  if !Start()
    return
  endif
  const lines = getbufline(bufnr, 1, '$')
  if lines->len() > LINES_MAX
    return
  endif
  documents[bufnr] = {lines: lines, version: 1, language: language, opened: false}
  WhenReady(() => Open(bufnr))
enddef

def Open(bufnr: number)
  if !documents->has_key(bufnr) || documents[bufnr].opened
    return
  endif
  const document = documents[bufnr]
  document.lines = getbufline(bufnr, 1, '$')
  document.opened = true
  const item = {uri: Uri(bufnr), languageId: document.language, version: document.version, text: document.lines->join("\n") .. "\n"}
  Notify('textDocument/didOpen', {textDocument: item})
enddef

export def Detach(bufnr: number)
  if documents->has_key(bufnr)
    if documents[bufnr].opened
      Notify('textDocument/didClose', {textDocument: {uri: Uri(bufnr)}})
    endif
    documents->remove(bufnr)
  endif
enddef

export def Saved(bufnr: number)
  if documents->has_key(bufnr)
    Synchronise(bufnr)
    Notify('textDocument/didSave', {textDocument: {uri: Uri(bufnr)}})
  endif
enddef

# Sends what changed since: the lines between those that are the same at both ends.
export def Synchronise(bufnr: number)
  if !documents->has_key(bufnr) || !documents[bufnr].opened
    return
  endif
  const document = documents[bufnr]
  const old: list<string> = document.lines
  const new = getbufline(bufnr, 1, '$')
  const [first, behind] = Difference(old, new)
  if first < 0
    return
  endif
  document.lines = new
  document.version += 1
  const text = new[first : new->len() - behind - 1]->mapnew((_, line) => line .. "\n")->join('')
  const range = {start: {line: first, character: 0}, end: {line: old->len() - behind, character: 0}}
  Notify('textDocument/didChange', {
    textDocument: {uri: Uri(bufnr), version: document.version},
    contentChanges: [{range: range, text: first > new->len() - behind - 1 ? '' : text}],
  })
enddef

# How many lines are the same at the beginning, and how many at the end; -1 where all are.
def Difference(old: list<string>, new: list<string>): list<number>
  const shorter = min([old->len(), new->len()])
  var first = 0
  while first < shorter && old[first] ==# new[first]
    first += 1
  endwhile
  if first == old->len() && first == new->len()
    return [-1, 0]
  endif
  var behind = 0
  while behind < shorter - first && old[-1 - behind] ==# new[-1 - behind]
    behind += 1
  endwhile
  return [first, behind]
enddef

export def Uri(bufnr: number): string
  const path = fnamemodify(bufname(bufnr), ':p')
  return 'file://' .. path->substitute('[^A-Za-z0-9/._~-]', (m) => m[0]->str2list()->len() == 0 ? '' : Percent(m[0]), 'g')
enddef

def Percent(character: string): string
  return range(character->len())->map((_, at) => printf('%%%02X', character->strpart(at, 1)->char2nr()))->join('')
enddef

export def Program(): string
  return get(g:, 'cloister_path', 'cloister')
enddef

def Environment(): dict<string>
  var environment: dict<string> = {}
  if get(g:, 'cloister_server', '') != ''
    environment.CLOISTER_SERVER = g:cloister_server
  endif
  return environment
enddef

# Runs the program for a page of text; its lines, and those of its failure.
export def Run(arguments: list<string>): list<string>
  var lines: list<string> = []
  const run = job_start([Program()] + arguments, {
    env: Environment(),
    out_cb: (_, line) => {
      lines->add(line)
    },
    err_cb: (_, line) => {
      lines->add(line)
    },
  })
  var left = 300
  while (job_status(run) == 'run' || ch_status(run, {part: 'out'}) != 'closed') && left > 0
    sleep 20m
    left -= 1
  endwhile
  return lines
enddef

def IsRunning(): bool
  return job != null_job && job_status(job) == 'run'
enddef

# Starts the server, once. One that failed is not started again by itself: :CloisterRestart.
def Start(): bool
  if IsRunning()
    return true
  endif
  if failed != ''
    return false
  endif
  if !executable(Program())
    Fail('the program ' .. Program() .. ' is not there: set g:cloister_path')
    return false
  endif
  isReady = false
  job = job_start([Program(), 'lsp'], {
    in_mode: 'lsp',
    out_mode: 'lsp',
    err_mode: 'nl',
    env: Environment(),
    out_cb: (_, message) => Received(message),
    err_cb: (_, line) => {
      # Said once it has ended: a warning is no failure.
      failed = line
    },
    exit_cb: (ended, code) => {
      if ended == job
        Fail(printf('the language server has ended with %d: %s', code, failed))
      endif
    },
  })
  const completion = {
    automatic: true,
    debounce_ms_max: get(g:, 'cloister_debounce_ms_max', 400),
    max_tokens: get(g:, 'cloister_max_tokens', 64),
  }
  var options: dict<any> = {completion: completion}
  if get(g:, 'cloister_deployment', '') != ''
    options.deployment = g:cloister_deployment
  endif
  const params = {
    processId: getpid(),
    clientInfo: {name: 'Vim', version: printf('%d.%d', v:version / 100, v:version % 100)},
    rootUri: null,
    capabilities: {
      general: {positionEncodings: ['utf-8']},
      textDocument: {inlineCompletion: {}, synchronization: {didSave: true}},
      workspace: {applyEdit: true, workspaceEdit: {documentChanges: true}},
      window: {showDocument: {support: true}},
    },
    initializationOptions: options,
  }
  Send('initialize', params, (_, error) => {
    if error != ''
      Fail(error)
      return
    endif
    isReady = true
    failed = ''
    Notify('initialized', {})
    const all = waiting
    waiting = []
    for Step in all
      Step()
    endfor
  })
  return true
enddef

def Fail(why: string)
  failed = why == '' ? 'it failed' : why
  isReady = false
  waiting = []
  documents = {}
  echomsg 'Cloister:' failed
enddef

export def Stop()
  if IsRunning()
    const ending = job
    job = null_job
    ch_sendexpr(ending, {method: 'shutdown'}, {callback: (_, _) => 0})
    ch_sendexpr(ending, {method: 'exit'})
  endif
  isReady = false
  failed = ''
  waiting = []
  documents = {}
enddef

def WhenReady(Step: func)
  if isReady
    Step()
  else
    waiting->add(Step)
  endif
enddef

# Asks the server. `Callback` is called with the result and, in words, the error. What it returns cancels the request.
export def Request(method: string, params: any, Callback: func): dict<any>
  if !isReady
    if failed != '' || !IsRunning()
      Callback(null, failed == '' ? 'the language server is not running' : failed)
    else
      waiting->add(() => Request(method, params, Callback))
    endif
    return {}
  endif
  return Send(method, params, Callback)
enddef

def Send(method: string, params: any, Callback: func): dict<any>
  return ch_sendexpr(job, {method: method, params: params}, {callback: (_, reply) => {
    if reply->has_key('error')
      Callback(null, reply.error->get('message', 'it failed'))
    else
      Callback(reply->get('result', null), '')
    endif
  }})
enddef

export def Cancel(request: dict<any>)
  if isReady && request->has_key('id')
    Notify('$/cancelRequest', {id: request.id})
  endif
enddef

def Notify(method: string, params: any)
  if isReady && IsRunning()
    ch_sendexpr(job, {method: method, params: params})
  endif
enddef

# What the server sends by itself.
def Received(message: any)
  if type(message) != v:t_dict || !message->has_key('method')
    return
  endif
  const params = message->get('params', {})
  if message.method == 'cloister/chatText'
    plugin.Heard(params)
  elseif message.method == 'window/showMessage'
    echomsg 'Cloister:' params->get('message', '')
  endif
  if !message->has_key('id')
    return
  endif
  var reply: dict<any> = {id: message.id}
  if message.method == 'workspace/applyEdit'
    reply.result = {applied: edits.Apply(params.edit)}
  elseif message.method == 'window/showDocument'
    execute 'edit' fnameescape(edits.PathOf(params.uri))
    reply.result = {success: true}
  else
    reply.error = {code: -32601, message: 'there is no method ' .. message.method}
  endif
  ch_sendexpr(job, reply)
enddef
